"""User Behavior Insights: a click is a like, what was skipped above one is passed over, the rest is unseen."""

from __future__ import annotations

import json

import pytest

from sidecar.core.errors import InputError
from sidecar.training.clicks import read_clicks


def query(query_id, text, *docids):
    return {"query_id": query_id, "user_query": text, "query_response_hit_ids": docids, "client_id": "x"}


def event(action, query_id, docid, position=None):
    attributes = {"object": {"object_id": docid, "object_id_field": "_id"}}
    if position is not None:
        attributes["position"] = {"ordinal": position}
    return {"action_name": action, "query_id": query_id, "event_attributes": attributes, "message": "…"}


@pytest.fixture
def clicks(tmp_path):
    def read(queries, events, **options):
        for name, lines in (("queries", queries), ("events", events)):
            (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return read_clicks(tmp_path / "queries", tmp_path / "events", **options)

    return read


def test_what_was_skipped_above_a_click_is_irrelevant_and_what_stands_below_is_unknown(clicks):
    found = clicks([query("q1", "Fleas", "a", "b", "c", "d")], [event("click", "q1", "c")])
    assert found.topics == {"fleas": "Fleas"}
    assert found.qrels == {"fleas": {"c": 1, "a": 0, "b": 0}}
    assert (found.searches, found.unknown) == (1, 0)


def test_searches_for_the_same_text_are_counted_together(clicks):
    queries = [query(f"q{n}", text, "a", "b") for n, text in enumerate(["fleas", "Fleas ", "“FLEAS”?"])]
    events = [event("click", "q0", "a"), event("click", "q1", "b"), event("click", "q2", "b")]
    # a was liked once and passed over twice, b liked twice and once unseen.
    assert clicks(queries, events).qrels == {"fleas": {"a": 0, "b": 1}}


@pytest.mark.parametrize(("one", "other"), [("C++", "C#"), ("C", "C++"), (".NET", "net"), ("10%", "10"), ("a/b", "ab")])
def test_queries_that_differ_in_a_mark_are_not_counted_together(clicks, one, other):
    # Their clicks were labels of each other's text: passages on C# were relevant to C++.
    queries = [query("q1", one, "a"), query("q2", other, "b")]
    found = clicks(queries, [event("click", "q1", "a"), event("click", "q2", "b")])
    assert {found.topics[qid]: labels for qid, labels in found.qrels.items()} == {one: {"a": 1}, other: {"b": 1}}


def test_an_events_own_position_goes_before_the_logged_hits_and_impressions_show(clicks):
    events = [
        event("impression", "q1", "a", 1),
        event("impression", "q1", "b", 2),
        event("click", "q1", "b", 2),
        event("add_to_cart", "q1", "z", 3),
    ]
    assert clicks([query("q1", "fleas")], events).qrels == {"fleas": {"a": 0, "b": 1}}


def test_searches_without_a_click_say_nothing_and_strange_events_are_counted(clicks):
    queries = [query("q1", "fleas", "a"), query("q2", " ", "a"), query("q3", "dogs", "b")]
    found = clicks(queries, [event("click", "lost", "a"), event("click", "q3", "b")])
    assert (found.topics, found.searches, found.unknown) == ({"dogs": "dogs"}, 1, 1)


def test_where_nothing_was_clicked_the_actions_that_are_there_are_named(clicks):
    events = [event("item_click", "q1", "a"), event("impression", "q1", "a", 1), event("item_click", "q1", "a")]
    with pytest.raises(
        InputError, match=r"no event with the action_name 'click', but 'item_click' \(2\), 'impression' \(1\)\."
    ):
        clicks([query("q1", "fleas", "a")], events)
    assert clicks([query("q1", "fleas", "a")], events, action="item_click").searches == 1
    with pytest.raises(InputError, match=r"none of the 1 'click' events .* \(1 events are of queries"):
        clicks([query("q1", "fleas", "a")], [event("click", "lost", "a")])
    with pytest.raises(InputError, match="but no event"):
        clicks([query("q1", "fleas", "a")], [])


def test_hits_of_a_search_are_read_as_their_source(clicks):
    found = clicks(
        [{"_index": "ubi_queries", "_source": query("q1", "fleas", "a")}], [{"_source": event("click", "q1", "a")}]
    )
    assert found.qrels == {"fleas": {"a": 1}}


def test_a_malformed_line_is_named(clicks):
    with pytest.raises(InputError, match=r"queries:1: not a document of UBI"):
        clicks([{"user_query": "fleas"}], [])
