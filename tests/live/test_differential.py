"""Hundreds of searches against OpenSearch itself: with a ranking that changes nothing, nothing may change.

Each body goes through the connector with the first stage's own order, and straight to OpenSearch with the window's
size; both answers must be the same bytes apart from `took`, `_score` and `max_score`. Indexes (one shard, three shards,
both by pattern and by alias) and parameters of the URL take turns. Then a third of them once more with the order turned
round, where only the order of the hits may differ, and all of them once more in `_msearch`.
"""

from __future__ import annotations

import itertools
import json
import random
import uuid
from collections import Counter

import pytest

from connectors.opensearch import MultiSearchRequest, OpenSearchConnector, RerankingClient, SearchRequest, raw_json
from connectors.opensearch.admin.bulk import IndexOptions
from sidecar.core.candidates import Ranked, Ranking
from tests.support.live.foxes import direct, without_took

pytestmark = pytest.mark.live

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
# The same by the URL.
SKIPPED_BY_URL = [
    ({"size": "0"}, "size is 0"),
    ({"sort": "docno:desc"}, "the hits are sorted by something else"),
    ({"stored_fields": "_none_"}, "stored_fields _none_"),
    ({"q": "tag:t1 -fox", "df": "text"}, None),
    ({"q": "-fox", "df": "text"}, "no query text found"),
]


class InOrder:
    """Scores every candidate by its place, so that the first stage's order stays, or is turned round."""

    def __init__(self, *, turned: bool = False) -> None:
        self.turned = turned

    def rank_candidates(self, query, candidates):
        order = list(reversed(candidates)) if self.turned else list(candidates)
        scores = [len(order) / 2 - place for place in range(len(order))]
        hits = [Ranked(c, rank, s, s) for rank, (c, s) in enumerate(zip(order, scores, strict=True), start=1)]
        return Ranking(query, tuple(hits), {})


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


@pytest.fixture(scope="module")
def targets(client):
    """One index of one shard, one of three; then both by pattern, by alias and by list."""
    mark = uuid.uuid4().hex[:8]
    names = [f"diff-{mark}-one", f"diff-{mark}-three"]
    for shards, name in zip((1, 3), names, strict=True):
        made = IndexOptions().body()
        made["settings"]["index"]["number_of_shards"] = shards
        made["mappings"]["properties"] |= {
            "tag": {"type": "keyword"},
            "docno": {"type": "integer", "store": True},
            "big": {"type": "double"},
            "parts": {"type": "nested", "properties": {"name": {"type": "text"}}},
        }
        client.indices.create(index=name, body={**made, "aliases": {f"alias-{mark}": {}}})
        answer = client.bulk(body=lines(DOCS * (shards - 1)), index=name, refresh=True)
        assert answer["errors"] is False
    yield [*names, f"diff-{mark}-*", f"alias-{mark}", ",".join(names)]
    client.indices.delete(index=",".join(names))


@pytest.fixture
def animals(targets):
    return targets[0]


def searches(targets) -> list[tuple[str, dict[str, object], dict[str, str]]]:
    """Each body with an index and parameters in turn."""
    return list(zip(itertools.cycle(targets), bodies(), itertools.cycle(PARAMS), strict=False))[:BODIES]


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


def test_nothing_but_scores_changes_when_the_order_does_not(client, targets):
    connector, outcomes = OpenSearchConnector(client), Counter()
    for target, body, params in searches(targets):
        first_stage = connector.fetch(SearchRequest(target, body, params, window=WINDOW))
        outcomes[first_stage.skipped or "applied"] += 1
        ours = connector.respond(first_stage, InOrder().rank_candidates(first_stage.query, first_stage.candidates))
        larger, start, size = window_sized(body)
        rest, hits = taken_apart(direct(client, target, larger, **params))
        our_rest, our_hits = taken_apart(ours)
        assert without_profile(our_rest, body) == without_profile(rest, body), (target, body, params)
        assert our_hits == hits[start : start + size], (target, body, params)
        scores = [hit["_score"] for hit in json.loads(ours)["hits"]["hits"]]
        assert scores == sorted(scores, reverse=True), body
        assert all(score > 0 for score in scores), body
    assert outcomes == {"applied": BODIES}


def test_only_the_order_changes_when_it_is_turned_round(client, targets):
    connector = OpenSearchConnector(client)
    for target, body, params in searches(targets)[::3]:
        first_stage = connector.fetch(SearchRequest(target, body, params, window=WINDOW))
        ours = connector.respond(first_stage, InOrder(turned=True).rank_candidates("", first_stage.candidates))
        larger, start, size = window_sized(body)
        rest, hits = taken_apart(direct(client, target, larger, **params))
        our_rest, our_hits = taken_apart(ours)
        assert without_profile(our_rest, body) == without_profile(rest, body), (target, body, params)
        assert our_hits == (hits[:WINDOW][::-1] + hits[WINDOW:])[start : start + size], (target, body, params)


def test_each_search_of_several_is_as_if_it_came_alone(client, targets):
    reranking, outcomes = RerankingClient(client, InOrder(), window=WINDOW, hydrate="window"), Counter()
    asked = [(target, body) for target, body, _ in searches(targets)]
    asked += [(targets[0], {"query": {"match": {"text": "fox"}}, **extra}) for extra, _ in SKIPPED]
    for start in range(0, len(asked), 40):
        some = asked[start : start + 40]
        pairs = [line for target, body in some for line in ({"index": target.split(",")}, body)]
        answer = reranking.rerank_all(MultiSearchRequest(body=pairs, window=WINDOW))
        for (target, body), ours in zip(some, answer.searches, strict=True):
            outcomes["skipped" if ours.skipped else "applied"] += 1
            alone = reranking.rerank(SearchRequest(target, body, window=WINDOW))
            rest, hits = taken_apart(alone.body)
            our_rest, our_hits = taken_apart(ours.body)
            assert our_rest.pop("status") == b"200", body
            assert without_profile(our_rest, body) == without_profile(rest, body), (target, body)
            assert (our_hits, ours.skipped) == (hits, alone.skipped), (target, body)
    assert outcomes == {"applied": BODIES, "skipped": len(SKIPPED)}


def test_what_is_skipped_is_opensearchs_own_answer_with_the_reason(client, animals):
    connector, outcomes = OpenSearchConnector(client), Counter()
    cases = [({"query": {"match": {"text": "fox"}}, **extra}, {}, reason) for extra, reason in SKIPPED]
    cases += [({"query": {"match": {"text": "fox"}}}, params, reason) for params, reason in SKIPPED_BY_URL]
    for body, params, reason in cases:
        first_stage = connector.fetch(SearchRequest(animals, body, params, window=WINDOW))
        outcomes[(first_stage.skipped or "applied").split(":")[0]] += 1
        if reason is None:
            assert first_stage.skipped is None, body
            continue
        assert first_stage.skipped is not None, body
        assert first_stage.skipped.startswith(reason), body
        ours = connector.respond(first_stage, Ranking("", (), {}))
        plain = {name: value for name, value in body.items() if name != "ext"}
        assert without_took(ours) == without_took(direct(client, animals, plain, **params)), body
    assert outcomes == {
        "applied": 1,
        "size is 0": 2,
        "the hits are sorted by something else than their score": 4,
        "search_after pages by sort values, which reranking would break": 1,
        "stored_fields _none_ leaves no text to rerank by": 2,
        "no query text found; name it in ext.rerank.query_context.query_text": 6,
        "ext.rerank.query_context needs exactly one of query_text and query_text_path": 1,
    }
