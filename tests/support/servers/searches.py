"""Searches to send through the service, and what a test reads off the answers."""

from __future__ import annotations

import json

JSON = {"content-type": "application/json"}


def body(query="fox", rerank=True, **more):
    """Build a search that asks to be reranked: with these options, or not at all."""
    made = {"query": {"match": {"text": query}}, **more}
    if rerank is not False:
        made["ext"] = {
            "rerank": {"query_context": {"query_text": query}, **(rerank if isinstance(rerank, dict) else {})}
        }
    return made


def ids(answer):
    return [hit["_id"] for hit in answer.json()["hits"]["hits"]]


def outcome(answer):
    """Return status and reason of the reranking, as the headers tell them."""
    return answer.headers.get("x-rerank-status"), answer.headers.get("x-rerank-reason", "")


def error_of(answer):
    """Return status and type of an error in OpenSearch's shape."""
    said = json.loads(answer.body)
    assert said["status"] == answer.status
    assert said["error"]["root_cause"][0]["reason"] == said["error"]["reason"]
    return answer.status, said["error"]["type"]
