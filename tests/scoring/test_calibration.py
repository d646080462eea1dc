"""Platt's calibration with numbers worked out by hand."""

from __future__ import annotations

import itertools
import math

import pytest

from sidecar.core.errors import InputError, NonFiniteScore
from sidecar.scoring.calibration import Judged, calibrate, fit, quality, split_queries
from sidecar.scoring.checkpoints.manifest import Manifest, ScoreMapping
from sidecar.scoring.checkpoints.presets import MINILM
from sidecar.scoring.loading import locate
from sidecar.scoring.score_mapping import Mapping, sigmoid


def pairs(*counts, qid="q"):
    """`(score, relevant, irrelevant)`: so many judged pairs of that score."""
    return [
        Judged(qid, score, relevant=relevant)
        for score, positives, negatives in counts
        for relevant in [True] * positives + [False] * negatives
    ]


def test_two_scores_are_fitted_exactly():
    # 4 relevant and 4 irrelevant pairs: targets 5/6 and 1/6. At score 0 their mean is (5/6 + 3/6)/4 = 1/3, at score 1
    # (15/6 + 1/6)/4 = 2/3, and two parameters meet both: b = logit(1/3) = −ln 2, a + b = logit(2/3) = ln 2.
    found = fit(pairs((0.0, 1, 3), (1.0, 3, 1)))
    assert (found.a, found.b) == pytest.approx((2 * math.log(2), -math.log(2)), rel=1e-6)


@pytest.mark.parametrize(("a", "b"), [(1.5, -0.5), (0.2, 3.0), (40.0, -12.0)])
def test_data_drawn_from_a_calibration_give_it_back(a, b):
    # Of 20,000 pairs at each score exactly the expected share is relevant.
    scores = [(i - b) / a for i in (-3, -2, -1, 0, 1, 2, 3)]
    shares = [round(20_000 * sigmoid(a * score + b)) for score in scores]
    found = fit(pairs(*[(score, share, 20_000 - share) for score, share in zip(scores, shares, strict=True)]))
    assert (found.a, found.b) == pytest.approx((a, b), rel=2e-3)


def test_separable_scores_get_a_finite_slope():
    # 3 relevant at 1, 3 irrelevant at −1: targets 4/5 and 1/5, so a = logit(4/5) = ln 4 and b = 0.
    found = fit(pairs((1.0, 3, 0), (-1.0, 0, 3)))
    assert (found.a, found.b) == pytest.approx((math.log(4), 0.0), abs=1e-6)


def test_the_scale_of_the_logits_does_not_matter():
    small, large = (fit(pairs((1000 + 0.0, 1, 3), (1000 + width, 3, 1))) for width in (1e-3, 1e3))
    assert small.a * 1e-3 == pytest.approx(2 * math.log(2), rel=1e-5)
    assert large.a * 1e3 == pytest.approx(2 * math.log(2), rel=1e-5)


@pytest.mark.parametrize(
    ("judged", "message"),
    [
        ([], "no pair is judged"),
        (pairs((1.0, 3, 0)), "all 3 judged pairs are relevant"),
        (pairs((1.0, 0, 2)), "all 2 judged pairs are irrelevant"),
        (pairs((1.0, 2, 2)), "all scores are equal"),
        (pairs((0.0, 3, 1), (1.0, 1, 3)), "relevance falls as the score rises"),
    ],
)
def test_what_can_not_be_calibrated_is_refused(judged, message):
    with pytest.raises(InputError, match=message):
        fit(judged)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_refused(bad):
    with pytest.raises(NonFiniteScore, match="query 'q'"):
        fit([*pairs((0.0, 1, 3), (1.0, 3, 1)), Judged("q", bad, relevant=True)])


def test_quality_by_hand():
    # p = 0.75 for two relevant and two irrelevant, p = 0.25 for one irrelevant
    judged = pairs((0.75, 2, 2), (0.25, 0, 1))
    found = quality(judged, lambda score: score)
    assert found.log_loss == pytest.approx(-(2 * math.log(0.75) + 2 * math.log(0.25) + math.log(0.75)) / 5)
    assert found.brier == pytest.approx((2 * 0.25**2 + 2 * 0.75**2 + 0.25**2) / 5)
    # the bin of 0.75: |0.75 − 2/4| over 4 of 5 pairs; the bin of 0.25: |0.25 − 0| over 1 of 5
    assert found.ece == pytest.approx(0.8 * 0.25 + 0.2 * 0.25)


def test_certainty_that_is_wrong_costs_much_but_not_everything():
    assert quality(pairs((1.0, 0, 1)), lambda score: score).log_loss == pytest.approx(-math.log(1e-15), rel=0.05)


def test_queries_are_held_out_whole():
    judged = [pair for i in range(10) for pair in pairs((0.0, 1, 3), (1.0, 3, 1), qid=f"q{i}")]
    kept, held_out = split_queries(judged)
    assert len({pair.qid for pair in held_out}) == 2
    assert {pair.qid for pair in kept} & {pair.qid for pair in held_out} == set()
    assert len(kept) + len(held_out) == len(judged)
    found = calibrate(judged, Mapping())
    assert (found.fitted_pairs, found.held_out_pairs, found.held_out_queries) == (64, 16, 2)
    # held out: 3 of 4 irrelevant at 0 and 3 of 4 relevant at 1; before, sigmoid(0) = 1/2 and sigmoid(1)
    high = sigmoid(1.0)
    expected = -(4 * math.log(0.5) + 3 * math.log(high) + math.log(1 - high)) / 8
    assert found.before.log_loss == pytest.approx(expected)
    assert found.after.log_loss < expected


def test_one_query_can_not_be_held_out():
    with pytest.raises(InputError, match="one query"):
        calibrate(pairs((0.0, 1, 3), (1.0, 3, 1)), Mapping())


def test_the_mapping_says_whether_it_is_calibrated():
    plain, fitted = Manifest().mapping, Manifest(score_mapping=ScoreMapping(a=2, b=-1)).mapping
    assert (plain.calibrated, plain(0.0), plain(math.log(3))) == (False, 0.5, pytest.approx(0.75))
    assert (fitted.calibrated, fitted(0.5)) == (True, 0.5)
    cosine = MINILM.mapping
    assert (cosine.calibrated, [cosine(x) for x in (-1.0, 0.0, 0.5, 1.0, 1.0000001)]) == (False, [0, 0.5, 0.75, 1, 1])


def test_a_mapping_rises_strictly_as_far_as_floats_can_tell():
    scores = [x / 4 for x in range(-2800, 121)]  # −700 to 30; e^-700 is not yet 0
    mapped = [Mapping()(score) for score in scores]
    assert all(low < high for low, high in itertools.pairwise(mapped))
    assert [Mapping()(score) for score in (37.0, 1e300, -1e300)] == [1.0, 1.0, 0.0]
    assert Mapping()(22.0) < 1.0


def test_the_default_is_calibrated_and_half_at_a_cosine_of_nine_tenths():
    mapping = locate("e5-small").manifest.mapping
    assert mapping.calibrated
    # 34.987 · 0.9 − 31.512 = −0.0237, and sigmoid(−0.0237) = 0.4941.
    assert mapping(0.9) == pytest.approx(0.4941, abs=1e-4)
