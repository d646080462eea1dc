"""Real nodes of OpenSearch and Elasticsearch, built where they are missing, or the one at OPENSEARCH_URL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.live import elasticsearch_node
from tests.support.live.elasticsearch_node import ElasticsearchNode
from tests.support.live.node_home import NoNode
from tests.support.live.opensearch_home import build, jdk
from tests.support.live.opensearch_node import Node

VERSIONS = ("2.19.1", "3.3.2")
WITH_PLUGINS = "2.19.1"  # Maven Central has no plugins of 3.x
NODES = ("url",) if os.environ.get("OPENSEARCH_URL") else VERSIONS
CACHE = Path(os.environ.get("OPENSEARCH_CACHE", Path(__file__).parents[3] / ".cache" / "opensearch"))


@contextmanager
def running_node(version: str, plugins: tuple[str, ...], folders: pytest.TempPathFactory) -> Iterator[Node]:
    """Run a node until the block ends; skips where the machine has no Maven or JDK, and fails in CI."""
    with _needed():
        jdk(version)
        home = build(CACHE / "-".join([version, *plugins]), version, plugins)
    with Node(home, version, folders.mktemp("opensearch"), heap="768m" if plugins else "512m") as node:
        yield node


@contextmanager
def running_elasticsearch(version: str, folders: pytest.TempPathFactory) -> Iterator[ElasticsearchNode]:
    """Run a node of Elasticsearch until the block ends; skips and fails as `running_node`."""
    with _needed():
        home = elasticsearch_node.build(CACHE / f"elasticsearch-{version}", version)
    with ElasticsearchNode(home, folders.mktemp("elasticsearch")) as node:
        yield node


@contextmanager
def _needed() -> Iterator[None]:
    """Skip where the machine lacks what a node needs; in CI that is a failure."""
    try:
        yield
    except NoNode as reason:
        if os.environ.get("CI"):
            pytest.fail(str(reason))
        pytest.skip(str(reason))
