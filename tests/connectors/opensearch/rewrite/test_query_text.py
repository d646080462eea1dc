"""The text that counts as what a person asked for, written out clause by clause."""

from __future__ import annotations

import time

import pytest

from connectors.opensearch.rewrite.query_text import query_text, without_operators

WRAPPED = "eyJib29sIjp7Im11c3QiOnsibWF0Y2giOnsiYSI6InJlZCBmb3gifX0sImZpbHRlciI6eyJtYXRjaCI6eyJhIjoiZG9nIn19fX0="


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"match": {"body": "red fox"}}, "red fox"),
        ({"match": {"body": {"query": "red fox", "operator": "and"}}}, "red fox"),
        ({"match": {"year": 1984}}, "1984"),
        ({"match": {"ok": True}}, ""),
        ({"match_phrase": {"body": {"query": "red fox", "slop": 2}}}, "red fox"),
        ({"match_phrase_prefix": {"body": "red fo"}}, "red fo"),
        ({"match_bool_prefix": {"body": "red fo"}}, "red fo"),
        ({"multi_match": {"query": "red fox", "fields": ["title", "body"]}}, "red fox"),
        ({"combined_fields": {"query": "red fox", "fields": ["title", "body"]}}, "red fox"),
        ({"query_string": {"query": "title:red AND fox"}}, "red fox"),
        ({"simple_query_string": {"query": "red + -fox~1"}}, "red"),
        ({"neural": {"vector": {"query_text": "red fox", "k": 10}}}, "red fox"),
        ({"neural_sparse": {"tokens": {"query_text": "red fox"}}}, "red fox"),
        ({"hybrid": {"queries": [{"match": {"a": "red"}}, {"neural": {"v": {"query_text": "fox"}}}]}}, "red fox"),
        ({"dis_max": {"queries": [{"match": {"a": "red"}}, {"match": {"b": "fox"}}]}}, "red fox"),
        ({"function_score": {"query": {"match": {"a": "red"}}, "functions": []}}, "red"),
        ({"script_score": {"query": {"match": {"a": "red"}}, "script": {"source": "1"}}}, "red"),
        ({"nested": {"path": "a", "query": {"match": {"a.b": "red"}}}}, "red"),
        ({"boosting": {"positive": {"match": {"a": "red"}}, "negative": {"match": {"a": "fox"}}}}, "red"),
        ({"has_child": {"type": "a", "query": {"match": {"b": "red"}}}}, "red"),
        ({"has_parent": {"parent_type": "a", "query": {"match": {"b": "red"}}}}, "red"),
        ({"wrapper": {"query": WRAPPED}}, "red fox"),
        ({"bool": {"should": [{"wrapper": {"query": WRAPPED}}], "filter": {"wrapper": {"query": WRAPPED}}}}, "red fox"),
        ({"wrapper": {"query": "no base64"}}, ""),
        ({"template": {"match": {"a": "red"}}}, "red"),
        ({"constant_score": {"filter": {"match": {"a": "red"}}}}, ""),
        ({"term": {"tag": "red"}}, ""),
        ({"terms_set": {"tag": {"terms": ["red"], "minimum_should_match_field": "n"}}}, ""),
        ({"more_like_this": {"fields": ["a"], "like": "red fox"}}, "red fox"),
        ({"more_like_this": {"like": ["red", {"_id": "1"}, "fox"], "unlike": "dog"}}, "red fox"),
        (
            {
                "intervals": {
                    "a": {"match": {"query": "red fox", "filter": {"not_containing": {"match": {"query": "x"}}}}}
                }
            },
            "red fox",
        ),
        (
            {
                "intervals": {
                    "a": {
                        "all_of": {
                            "intervals": [
                                {"match": {"query": "red"}},
                                {"any_of": {"intervals": [{"prefix": {"prefix": "fo"}}, {"match": {"query": "fox"}}]}},
                            ]
                        }
                    }
                }
            },
            "red fox",
        ),
        ({"intervals": {"a": {"all_of": {"intervals": [3, {"match": 3}]}, "b": 3}}}, ""),
        ({"span_near": {"clauses": [{"span_term": {"a": "red"}}, {"span_term": {"a": {"value": "fox"}}}]}}, "red fox"),
        ({"span_not": {"include": {"span_term": {"a": "red"}}, "exclude": {"span_term": {"a": "dog"}}}}, "red"),
        ({"span_first": {"match": {"span_or": {"clauses": [{"span_term": {"a": "red"}}]}}, "end": 3}}, "red"),
        ({"match_all": {}}, ""),
        ({"bool": {"filter": [{"match": {"a": "red"}}], "must_not": {"match": {"a": "fox"}}}}, ""),
        ({"bool": {"must": {"match": {"a": "red"}}}}, "red"),
        (
            {
                "bool": {
                    "must": [{"match": {"title": "red fox"}}, {"match": {"body": "red fox"}}],
                    "should": [{"match_phrase": {"body": "jumps"}}],
                    "filter": {"match": {"body": "dog"}},
                }
            },
            "red fox jumps",
        ),
        (None, ""),
        ("red", ""),
        ({"match": "red"}, ""),
        ({"bool": ["red"]}, ""),
        ({"query_string": "red"}, ""),
    ],
)
def test_text_of_the_clauses_that_score(query, text):
    assert query_text(query) == text


def test_a_query_nested_too_deep_has_no_text():
    query = {"match": {"a": "red"}}
    for _ in range(29):
        query = {"bool": {"must": query}}
    assert query_text(query) == "red"
    assert query_text({"bool": {"must": query}}) == ""


@pytest.mark.parametrize(
    ("query", "words", "simple_words"),
    [
        ("red fox", "red fox", "red fox"),
        ('title:red AND body:(quick -brown)^2 OR "red fox"~3', "red quick red fox", None),
        ("-bad +good NOT worse !ugh (a OR b) NOT (c d)", "good a b", "good NOT worse a OR b"),
        ("year:[2010 TO 2012] fox* jump~1 dog^2.5", "fox jump dog", None),
        (r"C\+\+ state-of-the-art", "C++ state-of-the-art", "C++ state-of-the-art"),
        ("_exists_:title red", "red", "_exists_:title red"),
        ("-title:(a b) c", "c", None),
        ("what is this?", "what is this", "what is this?"),
        ("a && b || c", "a b c", None),
        ('"unbalanced fox', "unbalanced fox", "unbalanced fox"),
        ("10 > 9", "10 > 9", "10 > 9"),
        ("", "", ""),
    ],
)
def test_operators_are_removed(query, words, simple_words):
    assert without_operators(query) == words
    if simple_words is not None:
        assert without_operators(query, simple=True) == simple_words


@pytest.mark.parametrize("unit", ["a", '"', "[a ", "NOT ", "-(", "a:", '"a\\', "[a TO "])
def test_hostile_query_strings_take_bounded_time(unit):
    started = time.perf_counter()
    without_operators(unit * 100_000)
    assert time.perf_counter() - started < 2
