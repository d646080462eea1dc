"""Shared by the tests of the service: an OpenSearch that answers by rote."""

from __future__ import annotations

import pytest

from tests.support.servers.hits import opensearch
from tests.support.servers.stub import Stub


@pytest.fixture(scope="module")
def upstream():
    """A stub that answers searches with ten hits, and keeps what it got."""
    with Stub(opensearch) as stub:
        yield stub
