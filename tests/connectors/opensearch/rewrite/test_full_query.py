"""The texts at paths of a query that is written out in full."""

from __future__ import annotations

import base64

import pytest

from connectors.opensearch.rewrite.full_query import text_at
from tests.support.query_text_paths import CASES, MATCH, TERM


@pytest.mark.parametrize(("search", "path", "text"), CASES)
def test_a_path_leads_where_it_leads_in_opensearch(search, path, text):
    assert text_at(search, path) == text


@pytest.mark.parametrize(
    ("search", "path", "text"),
    [
        ({"query": MATCH}, "query.match.text", "fox"),
        ({"query": TERM}, "query.term.tag", "t1"),
        ({"query": {"bool": {"must": MATCH}}}, "query.bool.must.match.text", "fox"),
        ({"query": {"bool": {"must": [MATCH]}}}, "query.bool.must.match.text.query", "fox"),
        ({"query": {"neural": {"vector": {"query_text": "fox", "k": 3}}}}, "query.neural.vector.query_text", "fox"),
        ({"query": {"has_child": {"type": "c", "query": MATCH}}}, "query.has_child.query.match.text.query", "fox"),
        ({"query": {"template": MATCH}}, "query.match.text.query", "fox"),
    ],
)
def test_a_short_form_is_understood_and_so_is_what_needs_more_than_a_bare_node(search, path, text):
    assert text_at(search, path) == text


def test_q_in_the_url_takes_the_place_of_the_query():
    assert text_at({"query": MATCH}, "query.query_string.query", "text:fox") == "text:fox"
    assert text_at({"query": MATCH}, "query.match.text.query", "text:fox") is None


@pytest.mark.parametrize(
    ("query", "path"),
    [
        # OpenSearch adds or rewrites these; what they are in the end is not known here.
        ({"match": {"text": {"query": "fox", "operator": "and"}}}, "query.match.text.operator"),
        ({"multi_match": {"query": "fox", "fields": ["title^2"]}}, "query.multi_match.fields.0"),
        ({"range": {"tag": {"gte": "a"}}}, "query.range.tag.gte"),
        ({"wrapper": {"query": "no base64"}}, "query.match.text.query"),
        ({"wrapper": {"query": base64.b64encode(b"[" * 100_000).decode()}}, "query.match.text.query"),
        ({"wrapper": 7}, "query.wrapper.query"),
        ({"bool": {"must": [3, None]}}, "query.bool.must.0.match"),
        ({"match": [3]}, "query.match.0"),
        (None, "query.match.text.query"),
        (MATCH, "query.match.text.query." + ".".join("0" * 400)),
        ({"bool": {"must": [MATCH]}}, "query.bool.must.99999999999999999999.match.text.query"),
        ({"bool": {"must": [MATCH]}}, "query.bool.must.-1.match.text.query"),
    ],
)
def test_where_no_text_is_known_to_be_there_is_none(query, path):
    assert text_at({"query": query}, path) is None


def test_the_deepest_query_is_no_danger():
    query = MATCH
    for _ in range(300):
        query = {"bool": {"must": query}}
    assert text_at({"query": query}, "query." + "bool.must.0." * 300 + "match.text.query") is None
