"""The second search for a page's hits: which documents it asks for, and whose content lands in which place."""

from __future__ import annotations

import json

import pytest

from connectors.opensearch.flow.driving import drive
from connectors.opensearch.flow.search_flow import finish, search_flow
from connectors.opensearch.rewrite import fetch_phase
from connectors.opensearch.rewrite.search_body import SearchBody
from sidecar.core.candidates import Ranked, Ranking
from sidecar.core.documents import PassageFields
from sidecar.core.errors import EngineRejected

BODY = {"query": {"match": {"text": "fox"}}, "size": 2, "highlight": {"fields": {"text": {}}}}


def hit(docid, score, index="docs", routing=None, highlight=None):
    made = {"_index": index, "_id": docid, "_score": score}
    made |= {"_routing": routing} if routing else {}
    made["_source"] = {"text": f"fox of {routing or index}"}
    return made | ({"highlight": {"text": [highlight]}} if highlight else {})


def response(*hits):
    return json.dumps({"took": 1, "hits": {"max_score": 1.0, "hits": list(hits)}}).encode()


def answered(*script):
    """The page of the reversed window, and the bodies that were sent; each is answered from the script in turn."""
    sent, answers = [], iter(script)

    def send(request):
        sent.append(json.loads(request.body))
        answer = next(answers)
        if isinstance(answer, EngineRejected):
            raise answer
        return answer

    body = SearchBody(json.dumps(BODY).encode())
    found = drive(search_flow(body, {}, window=5, fields=PassageFields(), fetch_phase="page"), send)
    order = [Ranked(c, rank, -rank, -rank) for rank, c in enumerate(reversed(found.candidates), start=1)]
    page = json.loads(drive(finish(found, Ranking("fox", tuple(order), {})), send))["hits"]["hits"]
    return [(one["_source"]["text"], one.get("highlight", {}).get("text")) for one in page], sent


def test_a_hit_is_asked_for_by_its_index_its_id_and_its_routing():
    lean = [hit("1", 3.0), hit("1", 2.0, routing="a"), hit("1", 1.0, index="other"), hit("2", 0.5, routing="a")]
    found = [hit("2", 0.5, routing="a", highlight="two"), hit("1", 1.0, index="other", highlight="other")]
    page, sent = answered(response(*lean), response(*found))
    assert page == [("fox of a", ["two"]), ("fox of other", ["other"])]
    assert (sent[1]["size"], sent[1]["from"]) == (2, 0)
    assert sent[1]["query"]["bool"]["filter"][0]["bool"]["should"] == [
        {"bool": {"filter": [{"term": {"_routing": "a"}}, {"term": {"_index": "docs"}}, {"ids": {"values": ["2"]}}]}},
        {
            "bool": {
                "must_not": [{"exists": {"field": "_routing"}}],
                "filter": [{"term": {"_index": "other"}}, {"ids": {"values": ["1"]}}],
            }
        },
    ]


@pytest.mark.parametrize("answer", [response(hit("2", 1.0, highlight="two")), EngineRejected("no", status=400)])
def test_where_one_is_not_found_the_window_is_asked_for_whole(answer):
    lean = [hit("1", 3.0), hit("2", 1.0)]
    whole = response(hit("1", 3.0, highlight="one"), hit("2", 1.0, highlight="two"))
    page, sent = answered(response(*lean), answer, whole)
    assert page == [("fox of docs", ["two"]), ("fox of docs", ["one"])]
    assert sent[2]["size"] == 5
    assert "filter" not in json.dumps(sent[2])


def test_hits_that_share_a_key_are_told_apart_by_their_places():
    lean = [hit("1", 3.0), hit("1", 2.0), hit("2", 1.0)]
    whole = [hit("1", 3.0, highlight="first"), hit("1", 2.0, highlight="second"), hit("2", 1.0, highlight="two")]
    page, sent = answered(response(*lean), response(*whole))
    assert page == [("fox of docs", ["two"]), ("fox of docs", ["second"])]
    assert len(sent) == 2
    # Something moved meanwhile: rather no highlight than another's.
    moved = [whole[1], whole[0], whole[2]]
    page, _ = answered(response(*lean), response(*moved))
    assert page == [("fox of docs", ["two"]), ("fox of docs", None)]


@pytest.mark.parametrize(
    ("highlight", "expected"),
    [
        ({"fields": {"text": {}}}, True),
        ({"fields": {"text": {"require_field_match": True}}}, True),
        ({"fields": {"text": {}}, "require_field_match": False}, False),
        ({"fields": {"text": {"require_field_match": "false"}}}, False),
        ({"fields": [{"text": {"require_field_match": False}}]}, False),
        ({"fields": {"text": {}}, "pre_tags": ["'require_field_match': False"]}, True),
    ],
)
def test_what_would_highlight_the_ids_is_asked_for_in_one_request(highlight, expected):
    assert fetch_phase.worthwhile({"query": {}, "highlight": highlight}, {}) is expected
