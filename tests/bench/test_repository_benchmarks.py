"""The arithmetic of the repository's own benchmarks: what is sampled, and what feedback does to a vector."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.calibration import joined, reliability
from benchmarks.feedback import cosines, rows
from benchmarks.quality import List
from sidecar.core.candidates import Passage
from sidecar.scoring.calibration import Judged


def test_kinds_have_the_same_weight_and_always_the_same_sample(monkeypatch):
    monkeypatch.setattr("benchmarks.calibration.PAIRS", 5)
    large = [Judged(f"q{at // 2}", float(at), relevant=bool(at % 2)) for at in range(20)]
    small = [Judged("s", 0.0, relevant=True), Judged("s", 1.0, relevant=False)]
    sample = joined([large, small])
    assert [sum(one in kind for one in sample) for kind in (large, small)] == [5, 2]
    assert joined([large, small]) == sample


def test_reliability_is_the_share_of_relevant_pairs_by_probability():
    pairs = [Judged("q", 0.05, relevant=False), Judged("q", 0.95, relevant=True), Judged("q", 0.97, relevant=False)]
    *_, row = reliability({"kind": pairs}, lambda score: score)
    assert row == "| kind | 0.00 (1) | – | – | – | – | – | – | – | – | 0.50 (2) |\n"


def test_feedback_moves_the_query_towards_its_best_passage():
    texts = [Passage("", "a"), Passage("", "b")]
    lists = [List("q", "query", ["a", "b"], texts, [2.0, 1.0])]
    assert rows(lists) == {"a": 0, "b": 1}
    passages, queries = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.6, 0.8]])
    assert cosines(lists, passages, queries, 0, 0.0)["q"] == pytest.approx([0.6, 0.8])
    # (0.6, 0.8) + 1 · (0, 1) = (0.6, 1.8), of length √3.6.
    assert cosines(lists, passages, queries, 1, 1.0)["q"] == pytest.approx([0.6 / 3.6**0.5, 1.8 / 3.6**0.5])
