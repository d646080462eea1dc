"""Documents of foxes, and OpenSearch's own answers to compare with."""

from __future__ import annotations

import json
import re

DOCS = 130
QUERY = {"match": {"text": "fox"}}
# Finds every document, those without text among them.
EITHER = {"bool": {"should": [{"match": {"text": "fox"}}, {"match": {"hidden": "fox"}}]}}


def source(i):
    """A document whose bytes a re-encoder would change. Every tenth has no text where a model looks for it."""
    text = b'"text":"' + b"fox " * (1 + i % 7) + b"x" * (i * 37 % 101) + b'"' if i % 10 else b'"title":"","text":" "'
    awkward = b'"price":0.10,"big":1234567890123456789012345,"u":"\\u00e9\\u003c","bad":"\\ud83d", "odd" : [ 1e400 ]'
    return b'{"docno":%d,"tag":"t%d",%s,"hidden":"fox",%s}' % (i, i % 3, text, awkward)


def direct(client, index, body, **params):
    """Ask OpenSearch itself, for bytes."""
    connection = client.transport.get_connection()
    _, _, text = connection.perform_request("POST", f"/{index}/_search", params, json.dumps(body).encode())
    return text.encode("utf-8", "surrogatepass")


def without_took(raw):
    return re.sub(rb'"took":\d+', b"", raw)


def hits(raw):
    """Each hit's own bytes, its score cut out."""
    raw = re.split(b',"(?:aggregations|profile)":', raw)[0]
    (array,) = re.findall(rb'"hits":\[(\{"_(?:index|shard)":.*\})\]\}', raw, re.DOTALL)
    return [re.sub(rb'"_score":[^,}]+', b"", hit) for hit in re.split(rb'(?<=\}),(?=\{"_(?:index|shard)":)', array)]


def ids(answer):
    return [hit["_id"] for hit in answer["hits"]["hits"]]
