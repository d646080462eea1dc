"""Fixtures: real OpenSearch nodes, one after the other, or the one at OPENSEARCH_URL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from connectors.opensearch.client import connect
from tests.live.opensearch_node import Node, NoNode, build, jdk

VERSIONS = ("2.19.1", "3.3.2")
CACHE = Path(os.environ.get("OPENSEARCH_CACHE", Path(__file__).parents[2] / ".cache" / "opensearch"))


@pytest.fixture(scope="session", params=["url"] if os.environ.get("OPENSEARCH_URL") else VERSIONS)
def opensearch_url(request, tmp_path_factory) -> Iterator[str]:
    """URL of a real OpenSearch; every test that uses it runs once for each version.

    Skips where the machine has no Maven, JDK or URL; in CI that is a failure.
    """
    if request.param == "url":
        yield os.environ["OPENSEARCH_URL"]
        return
    try:
        jdk(request.param)
        home = build(CACHE / request.param, request.param)
    except NoNode as reason:
        if os.environ.get("CI"):
            pytest.fail(str(reason))
        pytest.skip(str(reason))
    with Node(home, request.param, tmp_path_factory.mktemp("opensearch")) as node:
        yield node.url


@pytest.fixture(scope="session")
def client(opensearch_url) -> Iterator[OpenSearch]:
    """A client of that OpenSearch."""
    made = connect(opensearch_url)
    yield made
    made.close()
