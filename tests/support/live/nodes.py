"""Fixtures: real OpenSearch nodes, one after the other, or the one at OPENSEARCH_URL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from connectors.opensearch.transport import connect
from tests.support.live.opensearch_home import NoNode, build, jdk
from tests.support.live.opensearch_node import Node

VERSIONS = ("2.19.1", "3.3.2")
WITH_PLUGINS = "2.19.1"  # Maven Central has no plugins of 3.x
NODES = ("url",) if os.environ.get("OPENSEARCH_URL") else VERSIONS
CACHE = Path(os.environ.get("OPENSEARCH_CACHE", Path(__file__).parents[3] / ".cache" / "opensearch"))


@pytest.fixture(scope="session", params=NODES)
def opensearch_url(request, tmp_path_factory) -> Iterator[str]:
    """URL of a real OpenSearch; every test that uses it runs once for each version.

    Skips where the machine has no Maven, JDK or URL; in CI that is a failure.
    """
    if request.param == "url":
        yield os.environ["OPENSEARCH_URL"]
        return
    with running_node(request.param, (), tmp_path_factory) as node:
        yield node.url


@pytest.fixture(scope="module")
def ml_node(tmp_path_factory) -> Iterator[Node]:
    """A 2.19.1 node with ML Commons and neural search, for one module: it needs too much memory to stay."""
    with running_node(WITH_PLUGINS, ("ml",), tmp_path_factory) as node:
        yield node


@pytest.fixture(scope="module")
def secure_node(tmp_path_factory) -> Iterator[Node]:
    """The same with the security plugin and TLS; `login` has its administrator and certificates."""
    with running_node(WITH_PLUGINS, ("ml", "security"), tmp_path_factory) as node:
        yield node


@contextmanager
def running_node(version: str, plugins: tuple[str, ...], folders: pytest.TempPathFactory) -> Iterator[Node]:
    try:
        jdk(version)
        home = build(CACHE / "-".join([version, *plugins]), version, plugins)
    except NoNode as reason:
        if os.environ.get("CI"):
            pytest.fail(str(reason))
        pytest.skip(str(reason))
    with Node(home, version, folders.mktemp("opensearch"), heap="768m" if plugins else "512m") as node:
        yield node


@pytest.fixture(scope="session")
def client(opensearch_url) -> Iterator[OpenSearch]:
    """A client of that OpenSearch."""
    made = connect(opensearch_url)
    yield made
    made.close()
