"""Hundreds of searches against OpenSearch itself: with a ranking that changes nothing, nothing may change.

Each body goes through the connector with the first stage's own order, and straight to OpenSearch with the window's
size; both answers must be the same bytes apart from `took`, `_score` and `max_score`. Indexes (one shard, three shards,
both by pattern and by alias) and parameters of the URL take turns. Then a third of them once more with the order turned
round, where only the order of the hits may differ, and all of them once more in `_msearch`. `make test` sends a third.
"""

from __future__ import annotations

import json
from collections import Counter

import pytest

from connectors.opensearch import MultiSearchRequest, OpenSearchConnector, RerankingClient, SearchRequest
from sidecar.core.candidates import Ranking
from tests.support.live import differential
from tests.support.live.differential import (
    SKIPPED,
    WINDOW,
    taken_apart,
    window_sized,
    without_profile,
)
from tests.support.live.foxes import direct, without_took
from tests.support.rerankers import InOrder

pytestmark = pytest.mark.live


# The same by the URL.
SKIPPED_BY_URL = [
    ({"size": "0"}, "size is 0"),
    ({"sort": "docno:desc"}, "the hits are sorted by something else"),
    ({"stored_fields": "_none_"}, "stored_fields _none_"),
    ({"q": "tag:t1 -fox", "df": "text"}, None),
    ({"q": "-fox", "df": "text"}, "no query text found"),
]


def test_nothing_but_scores_changes_when_the_order_does_not(client, searches):
    connector, outcomes = OpenSearchConnector(client), Counter()
    for target, body, params in searches:
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
    assert outcomes == {"applied": len(searches)}


def test_only_the_order_changes_when_it_is_turned_round(client, targets):
    connector = OpenSearchConnector(client)
    for target, body, params in differential.searches(targets, whole=True)[::3]:
        first_stage = connector.fetch(SearchRequest(target, body, params, window=WINDOW))
        ours = connector.respond(first_stage, InOrder(turned=True).rank_candidates("", first_stage.candidates))
        larger, start, size = window_sized(body)
        rest, hits = taken_apart(direct(client, target, larger, **params))
        our_rest, our_hits = taken_apart(ours)
        assert without_profile(our_rest, body) == without_profile(rest, body), (target, body, params)
        assert our_hits == (hits[:WINDOW][::-1] + hits[WINDOW:])[start : start + size], (target, body, params)


def test_each_search_of_several_is_as_if_it_came_alone(client, targets, searches):
    reranking, outcomes = RerankingClient(client, InOrder(), window=WINDOW, fetch_phase="window"), Counter()
    asked = [(target, body) for target, body, _ in searches]
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
    assert outcomes == {"applied": len(searches), "skipped": len(SKIPPED)}


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
