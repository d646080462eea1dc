"""Rank-biased overlap, Jaccard, moves and the pairing of runs, by numbers that are written out."""

from __future__ import annotations

import pytest

from sidecar.core.errors import ConfigurationError
from sidecar.experiments.overlap import Moved, Overlap, jaccard, moves, overlaps, pair, rank_biased_overlap
from sidecar.experiments.run_order import best_first, irregular


@pytest.mark.parametrize(
    ("first", "second", "p", "expected"),
    [
        ("abc", "abc", 0.9, 1.0),
        ("abc", "xyz", 0.9, 0.0),
        ("", "", 0.9, 1.0),
        ("", "abc", 0.9, 0.0),
        # Overlaps 0/1, 2/2 at p 0.5: (0.5/0.5)·(0·0.5 + 1·0.25) + 1·0.25.
        ("ab", "ba", 0.5, 0.25 + 0.25),
        # Overlaps 1/1, 1/2: 1·0.5 + 0.5·0.25 + 0.5·0.25.
        ("ab", "ac", 0.5, 0.5 + 0.125 + 0.125),
        # A ranking of one document beside one of three that begins with it: it is taken to agree for ever.
        # Overlaps 1/1, 1/2, 1/3 plus 1·1/(1·2), 1·2/(1·3), and (0/3 + 1/1)·p³.
        ("a", "abc", 0.5, (0.5 + 0.25 * (1 / 2 + 1 / 2) + 0.125 * (1 / 3 + 2 / 3)) + 0.125),
    ],
)
def test_rank_biased_overlap(first, second, p, expected):
    assert rank_biased_overlap(list(first), list(second), p) == pytest.approx(expected, abs=1e-12)
    assert rank_biased_overlap(list(second), list(first), p) == pytest.approx(expected, abs=1e-12)


def test_an_exchange_at_the_top_weighs_more_than_one_below():
    whole = list("abcdefgh")
    assert rank_biased_overlap(whole, list("bacdefgh")) < rank_biased_overlap(whole, list("abcdefhg")) < 1


@pytest.mark.parametrize("p", [0, 1, -0.5, 1.5])
def test_a_persistence_outside_its_range_is_refused(p):
    with pytest.raises(ConfigurationError, match="persistence"):
        rank_biased_overlap(["a"], ["a"], p)


def test_jaccard_looks_at_the_tops_alone():
    assert jaccard(list("abcd"), list("badc"), 2) == 1
    assert jaccard(list("abcd"), list("acbd"), 2) == 1 / 3
    assert jaccard([], [], 2) == 1
    assert jaccard(["a"], [], 2) == 0


def test_moves_list_the_new_top_and_what_left_it():
    found = moves(list("abcd"), list("dax"), depth=2)
    assert found == [Moved("d", 4, 1), Moved("a", 1, 2), Moved("b", 2, None)]
    assert [one.places(4, 3) for one in found] == [3, -1, 2 - 4]


def test_runs_are_paired_by_their_queries():
    found = pair({"q1": 0, "q2": 0, "q3": 0}, {"q3": 0, "q4": 0, "q1": 0})
    assert (found.both, found.first, found.second) == (["q1", "q3"], ["q2"], ["q4"])
    assert found.words("A", "B") == "1 queries are only in A: q2; 1 queries are only in B: q4"
    assert pair({"q": 0}, {"q": 0}).words("A", "B") == ""


def test_the_queries_that_differ_most_come_first():
    first = {"same": ["a", "b"], "turned": ["a", "b"], "other": ["a", "b"], "alone": ["a"]}
    second = {"same": ["a", "b"], "turned": ["b", "a"], "other": ["x", "y"]}
    assert overlaps(first, second, p=0.5, depth=1) == [
        Overlap("other", 0.0, 0.0, 0),
        Overlap("turned", 0.5, 0.0, 0),
        Overlap("same", 1.0, 1.0, 1),
    ]


def test_the_order_is_trec_evals():
    # 1 + 1e-9 is 1 in single precision; equal scores fall by docid.
    assert best_first({"a": 1.0, "c": 2.0, "b": 1.0 + 1e-9}) == ["c", "b", "a"]
    assert best_first({"a": -1e300, "b": 1e300, "c": 0.0}) == ["b", "c", "a"]


def test_ties_and_a_wrong_order_are_counted():
    run = {"fine": {"a": 2.0, "b": 1.0}, "tied": {"a": 1.0, "b": 1.0}, "rising": {"a": 1.0, "b": 2.0}}
    found = irregular(run)
    assert (found.ties, found.unsorted) == (["tied"], ["rising"])
    assert found.words().startswith("1 queries have equal scores, which trec_eval orders by falling document id; 1 ")
    assert irregular({"fine": {"a": 2.0}}).words() == ""
