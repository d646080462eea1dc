"""Golden values of every way to fuse, written out by hand."""

from __future__ import annotations

import math

import pytest

from sidecar.core.errors import FusionError, NonFiniteScore
from sidecar.core.float32 import single
from sidecar.core.fusion import Arithmetic, Fusion, Method, Normalization, best_first, ranks, tail_scores

LOGITS = [-4.0, 2.0, -1.0]
FIRST = [12.0, 8.0, 4.0]
HALF = 0.5


@pytest.mark.parametrize(
    ("fusion", "expected"),
    [
        (Fusion(), [-4.0, 2.0, -1.0]),
        # min-max of the first stage: 1, 0.5, 0; of the logits: 0, 1, 0.5
        (Fusion(Method.LINEAR), [0.1 * 1 + 0.9 * 0, 0.1 * 0.5 + 0.9 * 1, 0.1 * 0 + 0.9 * 0.5]),
        (Fusion(Method.LINEAR, weight=HALF), [HALF * 1 + HALF * 0, HALF * 0.5 + HALF * 1, HALF * 0 + HALF * 0.5]),
        (Fusion(Method.LINEAR, weight=0.75), [0.25 * 1 + 0.75 * 0, 0.25 * 0.5 + 0.75 * 1, 0.25 * 0 + 0.75 * 0.5]),
        (Fusion(Method.LINEAR, Normalization.NONE, weight=0.9), [0.1 * 12 - 0.9 * 4, 0.1 * 8 + 0.9 * 2, 0.1 * 4 - 0.9]),
        # z-scores: mean 8, sample deviation 4 → 1, 0, −1; mean −1, sample deviation 3 → −1, 1, 0
        (
            Fusion(Method.LINEAR, Normalization.Z_SCORE, HALF),
            [HALF * 1 - HALF * 1, HALF * 0 + HALF * 1, -HALF * 1 + HALF * 0],
        ),
        # norms: √(144+64+16) = √224 and √(16+4+1) = √21
        (
            Fusion(Method.LINEAR, Normalization.L2, HALF),
            [
                HALF * 12 / math.sqrt(224) - HALF * 4 / math.sqrt(21),
                HALF * 8 / math.sqrt(224) + HALF * 2 / math.sqrt(21),
                HALF * 4 / math.sqrt(224) - HALF * 1 / math.sqrt(21),
            ],
        ),
        # ranks by the engine 1, 2, 3; by the model 3, 1, 2
        (Fusion(Method.RRF), [1 / 61 + 1 / 63, 1 / 62 + 1 / 61, 1 / 63 + 1 / 62]),
        (
            Fusion(Method.RRF, weight=0.7, rank_constant=1),
            [0.3 / 2 + 0.7 / 4, 0.3 / 3 + 0.7 / 2, 0.3 / 4 + 0.7 / 3],
        ),
        (Fusion(Method.GEOMETRIC), [math.sqrt(1 * 0), math.sqrt(0.5 * 1), math.sqrt(0 * 0.5)]),
        (Fusion(Method.HARMONIC), [0, 1 / (HALF / 0.5 + HALF / 1), 0]),
        (Fusion(Method.HARMONIC, weight=1), [0, 1, 0.5]),
        (Fusion(Method.GEOMETRIC, weight=1), [0, 1, 0.5]),
    ],
)
def test_golden_values(candidates, fusion, expected):
    assert fusion.fuse(LOGITS, candidates(*FIRST)) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("fusion", "expected"),
    [
        # OpenSearch turns a min-max of exactly 0 into 0.001
        (Fusion(Method.LINEAR, weight=HALF), [(1 + 0.001) / 2, (0.5 + 1) / 2, (0.001 + 0.5) / 2]),
        (Fusion(Method.LINEAR, weight=0.75), [0.25 + 0.75 * 0.001, 0.25 * 0.5 + 0.75, 0.25 * 0.001 + 0.75 * 0.5]),
        (Fusion(Method.GEOMETRIC), [math.sqrt(0.001), math.sqrt(0.5), math.sqrt(0.001 * 0.5)]),
        (Fusion(Method.HARMONIC), [2 / (1 + 1 / 0.001), 2 / (1 / 0.5 + 1), 2 / (1 / 0.001 + 1 / 0.5)]),
        # z-score: at or below 0 becomes 0.001; a score equal to the mean gets the raw maximum (12, and 2 of the logits)
        (Fusion(Method.LINEAR, Normalization.Z_SCORE, HALF), [(1 + 0.001) / 2, (12 + 1) / 2, (0.001 + 2) / 2]),
        (Fusion(Method.RRF), [1 / 61 + 1 / 63, 1 / 62 + 1 / 61, 1 / 63 + 1 / 62]),
    ],
)
def test_golden_values_of_opensearch(candidates, fusion, expected):
    theirs = Fusion(fusion.method, fusion.normalization, fusion.weight, fusion.rank_constant, Arithmetic.OPENSEARCH)
    assert theirs.fuse(LOGITS, candidates(*FIRST)) == pytest.approx(expected, rel=3e-7)


@pytest.mark.parametrize(
    ("fusion", "parts"),
    [
        (Fusion(), [None, None, None]),
        (Fusion(Method.LINEAR, weight=0.9), [(1, 0), (0.5, 1), (0, 0.5)]),
        (Fusion(Method.LINEAR, Normalization.NONE), [(12, -4), (8, 2), (4, -1)]),
        (Fusion(Method.RRF, weight=0.1, rank_constant=1), [(1 / 2, 1 / 4), (1 / 3, 1 / 2), (1 / 4, 1 / 3)]),
        (Fusion(Method.LINEAR, arithmetic=Arithmetic.OPENSEARCH), [(1, single(0.001)), (0.5, 1), (single(0.001), 0.5)]),
        (
            Fusion(Method.RRF, rank_constant=1, arithmetic=Arithmetic.OPENSEARCH),
            [(0.5, 0.25), (single(0.3333333333), 0.5), (0.25, single(0.3333333333))],
        ),
    ],
)
def test_the_parts_of_a_fused_score_are_told(candidates, fusion, parts):
    fused = fusion.combine(LOGITS, candidates(*FIRST))
    assert [one.normalized for one in fused] == parts
    assert [one.score for one in fused] == fusion.fuse(LOGITS, candidates(*FIRST))


@pytest.mark.parametrize(
    ("fusion", "described"),
    [
        (Fusion(), {"method": "rerank"}),
        (Fusion(Method.LINEAR), {"method": "linear", "normalization": "min_max", "weight": 0.9}),
        (Fusion(Method.ADAPTIVE), {"method": "adaptive", "normalization": "min_max"}),
        (Fusion(Method.RRF, rank_constant=9), {"method": "rrf", "rank_constant": 9}),
        (
            Fusion(Method.GEOMETRIC, weight=0.2, arithmetic=Arithmetic.OPENSEARCH),
            {"method": "geometric", "normalization": "min_max", "weight": 0.2, "arithmetic": "opensearch"},
        ),
    ],
)
def test_as_dict_holds_what_decides_the_order(fusion, described):
    assert fusion.as_dict() == described


def test_an_adaptive_fusion_weighs_the_first_stage_by_the_square_of_its_relative_spread(candidates):
    found = candidates(10.0, 9.0, 6.0)
    # (10 - 6) / 10 = 0.4, squared 0.16; min-max makes 1, 0.75 and 0 of the first stage, 0, 1 and 0.5 of the model.
    fusion = Fusion(Method.ADAPTIVE)
    assert fusion.share_in([-1.0, 3.0, 1.0], found) == pytest.approx(0.84)
    assert fusion.fuse([-1.0, 3.0, 1.0], found) == pytest.approx([0.16 * 1, 0.16 * 0.75 + 0.84, 0.84 * 0.5])


@pytest.mark.parametrize(
    ("scores", "share"),
    [
        ((2 / 61, 1 / 160), 0.6),  # reciprocal ranks
        ((1.0, 0.0), 0.6),
        ((-1.0, -2.0), 0.75),
        ((3.0, 3.0, 3.0), 1.0),
        ((0.0, 0.0), 1.0),
        ((7.0,), 1.0),
    ],
)
def test_an_adaptive_weight_is_defined_for_every_list(candidates, scores, share):
    model = [float(index) for index in range(len(scores))]
    assert Fusion(Method.ADAPTIVE).share_in(model, candidates(*scores)) == pytest.approx(share)


@pytest.mark.parametrize(
    ("model", "share"),
    [
        # The first stage is 100, 99, 98, 97: spread 0.03. The correlations are 1, 0.8, 0.4, -1 and not defined.
        ((4.0, 3.0, 2.0, 1.0), 0.6),
        ((4.0, 3.0, 1.0, 2.0), 0.6),
        ((4.0, 1.0, 3.0, 2.0), 1 - 0.4**3),
        ((1.0, 2.0, 3.0, 4.0), 1 - 0.03**2),
        ((5.0, 5.0, 5.0, 5.0), 1 - 0.03**2),
    ],
)
def test_a_first_stage_that_agrees_with_the_model_counts_more(candidates, model, share):
    assert Fusion(Method.ADAPTIVE).share_in(model, candidates(100.0, 99.0, 98.0, 97.0)) == pytest.approx(share)


@pytest.mark.parametrize("options", [{"weight": 0.5}, {"arithmetic": Arithmetic.OPENSEARCH}])
def test_an_adaptive_fusion_takes_no_weight_and_our_arithmetic(options):
    with pytest.raises(FusionError, match="takes neither a weight"):
        Fusion(Method.ADAPTIVE, **options)


def test_opensearch_takes_the_maximum_of_negative_logits_to_be_positive(candidates):
    theirs = Fusion(Method.LINEAR, weight=1.0, arithmetic=Arithmetic.OPENSEARCH)
    ours = Fusion(Method.LINEAR, weight=1.0)
    logits = [-1.0, -3.0, -5.0]
    # (−1 − −5)/(0 − −5), (−3 − −5)/(0 − −5), 0 → 0.001
    assert theirs.fuse(logits, candidates(3.0, 2.0, 1.0)) == pytest.approx([0.8, 0.4, 0.001], rel=3e-7)
    assert ours.fuse(logits, candidates(3.0, 2.0, 1.0)) == [1.0, 0.5, 0.0]


def test_opensearch_rounds_reciprocal_ranks_to_ten_decimals(candidates):
    theirs = Fusion(Method.RRF, rank_constant=6, arithmetic=Arithmetic.OPENSEARCH)
    # 1/7 = 0.14285714285… → 0.1428571429, twice, in single precision
    assert theirs.fuse([1.0], candidates(9.0)) == pytest.approx([2 * 0.1428571429], rel=1e-7)


@pytest.mark.parametrize("method", list(Method))
def test_one_document_and_equal_scores_are_defined(candidates, method):
    one = {"rerank": -3.0, "linear": 1.0, "adaptive": 1.0, "rrf": 2 / 61, "geometric": 1.0, "harmonic": 1.0}[
        method.value
    ]
    assert Fusion(method).fuse([-3.0], candidates(7.0)) == pytest.approx([one])
    equal = Fusion(method).fuse([-3.0, -3.0], candidates(7.0, 7.0))
    assert best_first(equal, candidates(7.0, 7.0)) == [0, 1]


@pytest.mark.parametrize(
    ("normalization", "expected"),
    [(Normalization.MIN_MAX, [1.0, 1.0]), (Normalization.Z_SCORE, [0.0, 0.0]), (Normalization.L2, [0.0, 0.0])],
)
def test_zero_variance_and_zero_norm_are_defined(candidates, normalization, expected):
    assert Fusion(Method.LINEAR, normalization).fuse([0.0, 0.0], candidates(0.0, 0.0)) == expected


def test_no_candidates_give_no_scores():
    assert [Fusion(method).fuse([], []) for method in Method] == [[]] * len(Method)


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e39, -1e308])
def test_a_score_that_is_no_number_is_never_a_rank(candidates, method, bad):
    with pytest.raises(NonFiniteScore, match="the model gave .* 'd2'"):
        Fusion(method).fuse([1.0, bad], candidates(2.0, 1.0))


def test_a_first_stage_score_that_is_no_number_is_refused_only_where_it_counts(candidates):
    with pytest.raises(NonFiniteScore, match="the first stage gave .* 'd1'"):
        Fusion(Method.LINEAR).fuse([1.0, 2.0], candidates(math.nan, 1.0))
    for method in (Method.LINEAR, Method.ADAPTIVE, Method.HARMONIC):
        with pytest.raises(NonFiniteScore, match="the first stage gave the score 1e[+]39 .* 'd1'"):
            Fusion(method).fuse([1.0, 2.0], candidates(1e39, 1.0))
    assert Fusion(Method.RERANK).fuse([1.0, 2.0], candidates(math.nan, 1.0)) == [1.0, 2.0]
    assert Fusion(Method.RRF).fuse([1.0, 2.0], candidates(math.nan, 1.0)) == [1 / 61 + 1 / 62, 1 / 62 + 1 / 61]


@pytest.mark.parametrize("method", [Method.GEOMETRIC, Method.HARMONIC])
@pytest.mark.parametrize("normalization", [Normalization.Z_SCORE, Normalization.L2, Normalization.NONE])
def test_means_that_would_drop_negative_logits_are_refused(method, normalization):
    with pytest.raises(FusionError, match="dropping"):
        Fusion(method, normalization)


@pytest.mark.parametrize("method", [Method.LINEAR, Method.GEOMETRIC, Method.HARMONIC])
def test_opensearch_arithmetic_that_drops_negative_logits_is_refused(method):
    with pytest.raises(FusionError, match="drops every negative logit"):
        Fusion(method, Normalization.L2, arithmetic=Arithmetic.OPENSEARCH)


@pytest.mark.parametrize("weight", [-0.1, 1.1, math.nan])
def test_a_weight_outside_zero_and_one_is_refused(weight):
    with pytest.raises(FusionError, match="fusion weight"):
        Fusion(Method.LINEAR, weight=weight)


@pytest.mark.parametrize("constant", [0, 10_001])
def test_a_rank_constant_out_of_range_is_refused(constant):
    with pytest.raises(FusionError, match="rank constant"):
        Fusion(Method.RRF, rank_constant=constant)


def test_ties_keep_first_stage_order(candidates):
    assert ranks([5.0, 7.0, 5.0], candidates(3.0, 2.0, 1.0)) == [2, 1, 3]


def test_the_tail_falls_in_whole_steps_from_the_lowest():
    assert tail_scores(-2.5, 3) == [-3.5, -4.5, -5.5]


@pytest.mark.parametrize("largest", [3.4028234663852886e38, -3.4028234663852886e38])
@pytest.mark.parametrize(
    "fusion",
    [
        Fusion(Method.LINEAR),
        Fusion(Method.LINEAR, Normalization.Z_SCORE),
        Fusion(Method.ADAPTIVE),
        Fusion(Method.HARMONIC),
        Fusion(Method.LINEAR, arithmetic=Arithmetic.OPENSEARCH),
    ],
)
def test_the_largest_scores_of_an_engine_are_fused(candidates, fusion, largest):
    first = [*sorted([largest, 0.0], reverse=True), -3.4028234663852886e38]
    assert all(math.isfinite(score) for score in fusion.fuse([1.0, 2.0, 3.0], candidates(*first)))
