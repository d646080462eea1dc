"""The page's fusion is Python's: the same scores and the same order over many lists, ties included."""

from __future__ import annotations

import json
import random
from itertools import product

import pytest

from sidecar.core.candidates import Candidate, Passage
from sidecar.core.errors import FusionError
from sidecar.core.fusion import Arithmetic, Fusion, Method, Normalization, best_first

LISTS = 25
# Additions, powers and logarithms of two languages may differ in the last bit; these alone take more than + - × ÷.
CLOSE = {
    Normalization.Z_SCORE: 1e-12,
    Normalization.L2: 1e-12,
    Method.ADAPTIVE: 1e-12,
    Method.GEOMETRIC: 1e-12,
}
SINGLE = 2**-22  # two units in the last place of single precision


def lists():
    """Lists of first-stage and model scores: ties, equal lists, one document, negative logits, 100 and more hits."""
    source = random.Random(7)
    yield [3.0], [-2.5]
    yield [2.0, 2.0], [1.0, 1.0]
    yield [0.0] * 5, [0.0, -1.0, 1.0, 0.0, -1.0]
    yield [9.0, 8.0, 7.0], [float(2**60), -0.5, 1e-300]
    for _ in range(LISTS):
        count = source.choice([2, 3, 10, 100, 137])
        coarse = source.random() < 0.5
        first = sorted(
            (source.choice([1, 2, 3]) if coarse else source.uniform(0, 30) for _ in range(count)), reverse=True
        )
        model = [float(source.randint(-3, 3)) if coarse else source.gauss(0, 6) for _ in range(count)]
        yield sorted(map(float, first), reverse=True), model


def fusions():
    weights = {Method.RERANK: [None], Method.ADAPTIVE: [None]}
    for method, scale, arithmetic in product(Method, Normalization, Arithmetic):
        if method in {Method.RERANK, Method.RRF} and scale is not Normalization.MIN_MAX:
            continue
        for weight in weights.get(method, [None, 0.0, 0.25, 0.37, 1.0]):
            try:
                yield Fusion(method, scale, weight, 60, arithmetic)
            except FusionError:
                continue


def written(fusion):
    return {
        "method": fusion.method.value,
        "normalization": fusion.normalization.value,
        "weight": fusion.weight,
        "rank_constant": fusion.rank_constant,
        "arithmetic": fusion.arithmetic.value,
    }


@pytest.fixture(scope="module")
def cases():
    return [(fusion, first, model) for fusion in fusions() for first, model in lists()]


@pytest.fixture
def found(open_page, service, cases):
    page = open_page(f"{service.api_url}/ui")
    asked = [{"fusion": written(fusion), "first": first, "model": model} for fusion, first, model in cases]
    told = page.evaluate(
        """async (cases) => {
            const { fuse, bestFirst, obstacle } = await import("/ui/fusion.js");
            return JSON.stringify(JSON.parse(cases).map(({ fusion, first, model }) => {
                const { scores, share } = fuse(fusion, first, model);
                return { scores, share, order: bestFirst(scores), obstacle: obstacle(fusion) };
            }));
        }""",
        json.dumps(asked),
    )
    found = json.loads(told, parse_int=float)  # JavaScript has one kind of numbers
    return [one | {"order": list(map(int, one["order"]))} for one in found]


def test_scores_shares_and_orders_are_pythons(found, cases):
    assert len(cases) > 1000
    for (fusion, first, model), here in zip(cases, found, strict=True):
        candidates = [Candidate(str(i), i, score, Passage("", "")) for i, score in enumerate(first, start=1)]
        fused, share = fusion.combine_with_share(model, candidates)
        expected = [one.score for one in fused]
        close = max(CLOSE.get(fusion.normalization, 0), CLOSE.get(fusion.method, 0))
        if fusion.method in {Method.RERANK, Method.RRF}:
            close = 0
        elif fusion.arithmetic is Arithmetic.OPENSEARCH and close:
            close = SINGLE
        assert here["obstacle"] == ""
        assert here["share"] == (pytest.approx(share, rel=1e-12) if share is not None else None)
        assert here["scores"] == (pytest.approx(expected, rel=close, abs=close) if close else expected), fusion
        order = best_first(expected, candidates)
        if here["order"] != order:  # then only between scores that are equal but for the last bits
            assert close
            there = [expected[i] for i in here["order"]]
            assert there == pytest.approx([expected[i] for i in order], rel=close, abs=close), fusion


def test_the_page_refuses_what_python_refuses(open_page, service):
    page = open_page(f"{service.api_url}/ui")
    every = list(product(Method, Normalization, Arithmetic))
    asked = [{"method": m.value, "normalization": n.value, "arithmetic": a.value, "weight": None} for m, n, a in every]
    said = page.evaluate(
        'async (all) => { const { obstacle } = await import("/ui/fusion.js"); return all.map(obstacle); }', asked
    )
    for one, words in zip(every, said, strict=True):
        try:
            Fusion(one[0], one[1], None, 60, one[2])
        except FusionError:
            assert words, one
        else:
            assert not words, one
