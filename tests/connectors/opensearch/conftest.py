"""A server for the connector's own HTTP."""

from __future__ import annotations

import threading

import pytest

from tests.support.servers.canned_opensearch import CannedOpenSearch


@pytest.fixture
def server():
    server = CannedOpenSearch()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
