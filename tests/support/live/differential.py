"""Hundreds of searches for indexes of animals, and their answers taken apart, to compare ours with OpenSearch's own."""

from __future__ import annotations

import itertools
import random

from connectors.opensearch import raw_json

DOCS, WINDOW, BODIES = 90, 60, 400
WORDS = ["fox", "dog", "cat", "hen", "owl", "bee"]
QUERIES = [
    {"match": {"text": "fox dog"}},
    {"match": {"text": {"query": "fox hen", "operator": "or", "_name": "named"}}},
    {"match_phrase": {"text": {"query": "fox dog", "slop": 9}}},
    {"match_bool_prefix": {"text": "owl fo"}},
    {"multi_match": {"query": "fox cat", "fields": ["title^2", "text"]}},
    {"multi_match": {"query": "fox bee", "fields": ["title", "text"], "type": "cross_fields"}},
    {"query_string": {"query": "+fox dog -bee", "default_field": "text"}},
    {"simple_query_string": {"query": "fox | owl", "fields": ["text"]}},
    {"bool": {"must": [{"match": {"text": "fox"}}], "filter": [{"range": {"docno": {"lt": 80}}}]}},
    {
        "bool": {
            "should": [{"match": {"text": "hen"}}, {"match": {"title": "fox"}}],
            "must_not": {"term": {"tag": "t1"}},
        }
    },
    {"dis_max": {"queries": [{"match": {"text": "fox"}}, {"match": {"title": "owl"}}], "tie_breaker": 0.3}},
    {
        "function_score": {
            "query": {"match": {"text": "fox"}},
            "field_value_factor": {"field": "docno", "modifier": "ln2p"},
        }
    },
    {"boosting": {"positive": {"match": {"text": "fox"}}, "negative": {"term": {"tag": "t2"}}, "negative_boost": 0.5}},
    {"nested": {"path": "parts", "query": {"match": {"parts.name": "fox"}}, "inner_hits": {}}},
    {"script_score": {"query": {"match": {"text": "dog"}}, "script": {"source": "_score + doc['docno'].value"}}},
    {"more_like_this": {"fields": ["text"], "like": "fox owl", "min_term_freq": 1, "min_doc_freq": 1}},
    {"intervals": {"text": {"any_of": {"intervals": [{"match": {"query": "fox"}}, {"match": {"query": "hen"}}]}}}},
    {"span_near": {"clauses": [{"span_term": {"text": "fox"}}, {"span_term": {"text": "dog"}}], "slop": 20}},
]
PARAMS = [
    {},
    {"typed_keys": "true"},
    {"preference": "_local"},
    {"search_type": "dfs_query_then_fetch"},
    {"ignore_unavailable": "true", "request_cache": "false"},
    {"batched_reduce_size": "2", "max_concurrent_shard_requests": "1"},
]
PAGES = [{}, {"size": 3}, {"from": 7, "size": 5}, {"from": 55, "size": 10}, {"from": 70, "size": 10}, {"size": 80}]
OPTIONS = [
    {},
    {"_source": False},
    {"_source": ["docno", "price"]},
    {"_source": {"excludes": ["text", "big"]}},
    {"fields": ["docno", {"field": "tag"}]},
    {"fields": ["t*"], "_source": False},
    {"docvalue_fields": ["docno"]},
    {"stored_fields": ["docno"]},
    {"highlight": {"fields": {"text": {}}}},
    {"aggs": {"tags": {"terms": {"field": "tag"}, "aggs": {"price": {"avg": {"field": "docno"}}}}}},
    {"sort": ["_score"]},
    {"sort": [{"_score": {"order": "desc"}}]},
    {"track_total_hits": False},
    {"track_total_hits": 5},
    {"explain": True},
    {"version": True, "seq_no_primary_term": True},
    {"min_score": 0.4},
    {"post_filter": {"range": {"docno": {"gte": 20}}}},
    {"collapse": {"field": "tag"}},
    {"collapse": {"field": "tag", "inner_hits": {"name": "same", "size": 2, "_source": False}}},
    {"profile": True},
    {"track_total_hits": True, "stats": ["group"]},
    {
        "highlight": {"fields": {"t*": {}}, "require_field_match": False, "pre_tags": ["<é>"], "post_tags": ["</é>"]},
        "explain": True,
    },
    {"script_fields": {"twice": {"script": "doc['docno'].value * 2"}}},
    {"rescore": {"window_size": 20, "query": {"rescore_query": {"match": {"title": "fox"}}}}},
    {"suggest": {"s": {"text": "foxx", "term": {"field": "text"}}}},
    {"script_fields": {"twice": {"script": "doc['docno'].value * 2"}}, "_source": True},
    {"indices_boost": [{"diff-*": 1.5}]},
    {"timeout": "10s"},
    {"ext": {"rerank": {"query_context": {"query_text": "something else"}}}},
]
# What can't be reranked, and the beginning of the reason.
SKIPPED = [
    ({"size": 0}, "size is 0"),
    ({"sort": ["docno"]}, "the hits are sorted by something else"),
    ({"sort": [{"_score": "asc"}]}, "the hits are sorted by something else"),
    ({"sort": ["_score", "docno"]}, "the hits are sorted by something else"),
    ({"sort": ["docno"], "search_after": [5]}, "search_after pages by sort values"),
    ({"stored_fields": "_none_"}, "stored_fields _none_"),
    ({"query": {"term": {"tag": "t1"}}}, "no query text found"),
    ({"query": {"match_all": {}}}, "no query text found"),
    ({"query": {"bool": {"filter": [{"match": {"text": "fox"}}]}}}, "no query text found"),
    ({"query": {"constant_score": {"filter": {"match": {"text": "fox"}}}}}, "no query text found"),
    ({"query": {"terms": {"tag": ["t1", "t2"]}}}, "no query text found"),
    ({"ext": {"rerank": {"query_context": {}}}}, "ext.rerank.query_context needs exactly one"),
]


def bodies() -> list[dict[str, object]]:
    """Every option with every page over queries in turn, and two options at once drawn by a fixed seed."""
    turn = itertools.cycle(QUERIES)
    made = [{"query": next(turn), **page, **option} for page in PAGES for option in OPTIONS]
    draw = random.Random(19)
    while len(made) < BODIES:
        one, other = draw.sample(OPTIONS, 2)
        # OpenSearch itself refuses these two together.
        if {"collapse", "rescore"} <= {*one, *other}:
            continue
        made.append({"query": draw.choice(QUERIES), **draw.choice(PAGES), **one, **other})
    return made


def lines(first: int) -> str:
    """Documents whose `_source` bytes a re-encoder would change, with equal ones among them."""
    draw, made = random.Random(7 + first), []
    for i in range(first, first + DOCS):
        text = " ".join(draw.choices(WORDS, k=3 + i % 5 * 4)) if i % 10 else "fox dog"
        source = (
            f'{{"docno":{i}, "tag":"t{i % 25}","title":"{draw.choice(WORDS)}","text":"{text} é 漢字 \\u00e9",'
            f'"price":0.10,"big":1234567890123456789012345,"tiny":1E-7,"parts":[{{"name":"fox {i}"}}]}}'
        )
        made.append(f'{{"index":{{"_id":"{i}"}}}}\n{source}\n')
    return "".join(made)


def searches(targets, *, whole: bool) -> list[tuple[str, dict[str, object], dict[str, str]]]:
    """Each body with an index and parameters in turn; all, or a third in which each option has two of the pages."""
    made = list(zip(itertools.cycle(targets), bodies(), itertools.cycle(PARAMS), strict=False))[:BODIES]
    return made if whole else [one for number, one in enumerate(made) if (number // len(OPTIONS) + number) % 3 == 0]


def taken_apart(raw: bytes) -> tuple[dict[str, bytes], list[dict[str, bytes]]]:
    """Split an answer into the hits and the rest, each value as its bytes; scores and times cut out."""
    top = raw_json.members(raw)
    hits = raw_json.members(top.pop("hits"))
    found = [raw_json.members(hit) for hit in raw_json.elements(hits.pop("hits"))]
    del top["took"]
    hits.pop("max_score", None)
    rest = {**{name: bytes(value) for name, value in top.items()}, **{f"hits.{k}": bytes(v) for k, v in hits.items()}}
    return rest, [{name: bytes(value) for name, value in hit.items() if name != "_score"} for hit in found]


def window_sized(body: dict[str, object]) -> tuple[dict[str, object], int, int]:
    start, size = int(body.get("from", 0)), int(body.get("size", 10))
    plain = {name: value for name, value in body.items() if name != "ext"}
    return {**plain, "from": 0, "size": max(WINDOW, start + size)}, start, size


def without_profile(rest: dict[str, bytes], body: dict[str, object]) -> dict[str, bytes]:
    """A profile counts nanoseconds."""
    assert ("profile" in rest) is ("profile" in body)
    return {name: value for name, value in rest.items() if name != "profile"}
