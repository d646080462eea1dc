"""Finds out a cluster's version and plugins, and what this account may do there; only reads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
from opensearchpy import OpenSearch, TransportError

from connectors.opensearch.flow.product import Product
from connectors.opensearch.transport import engine_error, search
from sidecar.core.errors import EngineRejected

_FORBIDDEN = 403


class _Total(msgspec.Struct):
    value: int


class _Hits(msgspec.Struct):
    total: _Total


class _Answer(msgspec.Struct):
    hits: _Hits


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """A cluster's `product` (OpenSearch or Elasticsearch), `version` and `plugins`; None for what it may not see.

    `searches` tells whether the account may search the given index (any index, if none was given).
    """

    product: str | None
    version: str | None
    plugins: tuple[str, ...] | None
    searches: bool


def cluster_info(client: OpenSearch, index: str | None = None) -> ClusterInfo:
    """Find out about a cluster. Raises an `EngineError` if it can't be reached, or the index does not exist."""
    root = _allowed(client, client.info)
    product = None if root is None else msgspec.convert(root, Product)
    plugins = _allowed(client, lambda: client.cat.plugins(format="json", h="component"))
    return ClusterInfo(
        product=None if product is None else product.name,
        version=None if product is None else product.version.number,
        plugins=None if plugins is None else tuple(sorted({plugin["component"] for plugin in plugins})),
        searches=_may_search(client, index),
    )


def size(client: OpenSearch, index: str) -> int:
    """Count the documents of an index by a search, for which the right to read is enough. Raises an `EngineError`."""
    answer = msgspec.json.decode(search(client, index, b'{"size":0,"track_total_hits":true}', {}, {}), type=_Answer)
    return answer.hits.total.value


def index_state(client: OpenSearch, index: str) -> str | None:
    """Return an identifier of the content of an index, another one after every write; None if it can't be read.

    It is the SHA-256 of the ids of the indexes behind the name and of their shards' sequence numbers. Reading these
    takes the right to monitor the index, and OpenSearch Serverless has no such request.
    """
    try:
        answer = _allowed(client, lambda: client.indices.stats(index=index, metric="docs", level="shards"))
    except EngineRejected:
        return None
    if answer is None:
        return None
    shards = [
        [found.get("uuid"), number, max(copy.get("seq_no", {}).get("max_seq_no", -1) for copy in copies)]
        for found in answer["indices"].values()
        for number, copies in found["shards"].items()
    ]
    return hashlib.sha256(msgspec.json.encode(sorted(shards, key=str))).hexdigest()


def _may_search(client: OpenSearch, index: str | None) -> bool:
    try:
        search(client, index, b'{"size":0}', {"terminate_after": 1}, {})
    except EngineRejected as refusal:
        if refusal.status != _FORBIDDEN:
            raise
        return False
    return True


def _allowed(client: OpenSearch, request: Any) -> Any:
    """Return the answer to a request, or None if it is forbidden to this account."""
    try:
        return request()
    except TransportError as error:
        failure = engine_error(client, error)
        if isinstance(failure, EngineRejected) and failure.status == _FORBIDDEN:
            return None
        raise failure from error
