"""Paths into searches and the texts that OpenSearch 2.19.1 finds at them; `test_query_text_path.py` asks it."""

from __future__ import annotations

import base64
import json

MATCH = {"match": {"text": "fox"}}
DOG = {"match": {"text": "dog"}}
TERM = {"term": {"tag": "t1"}}
SPAN = {"span_term": {"text": "fox"}}
WRAPPED = {"wrapper": {"query": base64.b64encode(json.dumps(MATCH).encode()).decode()}}

# The query, the path, and the text there. Every one of these finds the one document of the live test.
IN_QUERY = [
    (MATCH, "match.text.query", "fox"),
    ({"match": {"text": {"query": "fox", "operator": "and"}}}, "match.text.query", "fox"),
    ({"match_phrase": {"text": "fox dog"}}, "match_phrase.text.query", "fox dog"),
    ({"match_phrase_prefix": {"text": "fox d"}}, "match_phrase_prefix.text.query", "fox d"),
    ({"match_bool_prefix": {"text": "fox d"}}, "match_bool_prefix.text.query", "fox d"),
    ({"multi_match": {"query": "fox", "fields": ["title^2", "text"]}}, "multi_match.query", "fox"),
    ({"query_string": {"query": "+fox", "default_field": "text"}}, "query_string.query", "+fox"),
    ({"simple_query_string": {"query": "fox | owl", "fields": ["text"]}}, "simple_query_string.query", "fox | owl"),
    (TERM, "term.tag.value", "t1"),
    ({"term": {"tag": {"value": "t1"}}}, "term.tag.value", "t1"),
    ({"terms": {"tag": ["t0", "t1"]}}, "terms.tag.1", "t1"),
    ({"prefix": {"tag": "t"}}, "prefix.tag.value", "t"),
    ({"wildcard": {"tag": "t*"}}, "wildcard.tag.wildcard", "t*"),
    ({"wildcard": {"tag": {"value": "t*"}}}, "wildcard.tag.wildcard", "t*"),
    ({"regexp": {"tag": "t.*"}}, "regexp.tag.value", "t.*"),
    ({"fuzzy": {"text": "fxo"}}, "fuzzy.text.value", "fxo"),
    ({"common": {"text": {"query": "fox"}}}, "common.text.query", "fox"),
    ({"bool": {"must": MATCH}}, "bool.must.0.match.text.query", "fox"),
    ({"bool": {"must": [MATCH, TERM]}}, "bool.must.1.term.tag.value", "t1"),
    ({"bool": {"should": MATCH, "filter": TERM}}, "bool.should.0.match.text.query", "fox"),
    ({"bool": {"should": MATCH, "filter": TERM}}, "bool.filter.0.term.tag.value", "t1"),
    ({"bool": {"must": MATCH, "mustNot": {"term": {"tag": "x"}}}}, "bool.must_not.0.term.tag.value", "x"),
    (
        {"bool": {"must": {"bool": {"should": {"bool": {"filter": MATCH}}}}}},
        "bool.must.0.bool.should.0.bool.filter.0.match.text.query",
        "fox",
    ),
    ({"dis_max": {"queries": [DOG, MATCH]}}, "dis_max.queries.1.match.text.query", "fox"),
    ({"dis_max": {"queries": MATCH}}, "dis_max.queries.0.match.text.query", "fox"),
    (
        {"function_score": {"query": MATCH, "field_value_factor": {"field": "n"}}},
        "function_score.query.match.text.query",
        "fox",
    ),
    (
        {"script_score": {"query": MATCH, "script": {"source": "_score"}}},
        "script_score.query.match.text.query",
        "fox",
    ),
    ({"constant_score": {"filter": MATCH}}, "constant_score.filter.match.text.query", "fox"),
    (
        {"boosting": {"positive": MATCH, "negative": {"term": {"tag": "x"}}, "negative_boost": 0.5}},
        "boosting.negative.term.tag.value",
        "x",
    ),
    ({"hybrid": {"queries": [MATCH, {"match": {"title": "red"}}]}}, "hybrid.queries.1.match.title.query", "red"),
    ({"nested": {"path": "parts", "query": {"exists": {"field": "parts.name"}}}}, "nested.query.exists", None),
    (
        {"more_like_this": {"fields": ["text"], "like": "fox", "min_term_freq": 1, "min_doc_freq": 1}},
        "more_like_this.like.0",
        "fox",
    ),
    ({"intervals": {"text": {"match": {"query": "fox"}}}}, "intervals.text.match.query", "fox"),
    (
        {"intervals": {"text": {"any_of": {"intervals": [{"prefix": {"prefix": "fo"}}, {"match": {"query": "x"}}]}}}},
        "intervals.text.any_of.intervals.0.prefix.prefix",
        "fo",
    ),
    (SPAN, "span_term.text.value", "fox"),
    ({"span_near": {"clauses": [SPAN, {"span_term": {"text": {"value": "dog"}}}], "slop": 5}},
     "span_near.clauses.1.span_term.text.value", "dog"),
    ({"span_or": {"clauses": [SPAN]}}, "span_or.clauses.0.span_term.text.value", "fox"),
    ({"span_first": {"match": SPAN, "end": 3}}, "span_first.match.span_term.text.value", "fox"),
    ({"span_multi": {"match": {"prefix": {"text": "fo"}}}}, "span_multi.match.prefix.text.value", "fo"),
    ({"span_not": {"include": SPAN, "exclude": {"span_term": {"text": "x"}}}},
     "span_not.exclude.span_term.text.value", "x"),
    ({"span_within": {"little": SPAN, "big": SPAN}}, "span_within.big.span_term.text.value", "fox"),
    ({"field_masking_span": {"query": SPAN, "field": "text"}}, "span_field_masking.query.span_term.text.value", "fox"),
    (WRAPPED, "match.text.query", "fox"),
    ({"bool": {"must": [WRAPPED]}}, "bool.must.0.match.text.query", "fox"),
    ({"bool": {"must": [{"function_score": {"query": {"dis_max": {"queries": [{"bool": {"should": MATCH}}]}}}}]}},
     "bool.must.0.function_score.query.dis_max.queries.0.bool.should.0.match.text.query", "fox"),
    # What OpenSearch refuses, for there is no text: a query, a number, a field with a dot in its name, nothing.
    ({"bool": {"must": [MATCH, TERM]}}, "bool.must.match.text.query", None),
    ({"bool": {"must": [MATCH, TERM]}}, "bool.must.2.match.text.query", None),
    ({"match": {"n": 1}}, "match.n.query", None),
    ({"match": {"a.b": "fox"}}, "match.a.b.query", None),
    (MATCH, "match", None),
    (MATCH, "match_phrase.text.query", None),
    ({"field_masking_span": {"query": SPAN, "field": "text"}}, "field_masking_span.query.span_term.text.value", None),
]  # fmt: skip

# More of a search than its query: the body, the path, and the text there.
IN_BODY = [
    ({"query": MATCH, "post_filter": TERM}, "post_filter.term.tag.value", "t1"),
    (
        {"query": MATCH, "rescore": {"query": {"rescore_query": DOG}}},
        "rescore.0.query.rescore_query.match.text.query",
        "dog",
    ),
    ({"query": MATCH, "suggest": {"s": {"text": "fxo", "term": {"field": "text"}}}}, "suggest.s.text", "fxo"),
    ({"query": MATCH, "suggest": {"text": "fxo", "s": {"term": {"field": "text"}}}}, "suggest.text", "fxo"),
]

CASES = [({"query": query}, f"query.{path}", text) for query, path, text in IN_QUERY] + IN_BODY
