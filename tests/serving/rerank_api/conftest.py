"""One API for the tests that leave it as they found it."""

from __future__ import annotations

import pytest

from tests.support.servers.api_server import served_api


@pytest.fixture(scope="session")
def api():
    with served_api() as served:
        yield served
