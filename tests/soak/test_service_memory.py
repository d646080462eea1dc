"""Ten thousand requests through the service leave its memory and its open files where they were."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.servers.hits import opensearch
from tests.support.servers.searches import body
from tests.support.servers.stub import Stub

pytestmark = pytest.mark.soak

ROOT = Path(__file__).parents[2]
SERVE = """
import asyncio, sys
from sidecar.serving.run import serve
from sidecar.settings import Settings
from tests.support.servers.scripted import FAKE
asyncio.run(serve(Settings(opensearch_url=sys.argv[1], port=int(sys.argv[2]), api_port=0, score_cache=1000), FAKE))
"""
REQUESTS = 10_000
# What a run may grow by, in MB: the allocator's own slack, not 10,000 of anything (a leaked search is 20 kB at least).
SLACK = 16


@pytest.fixture
def service():
    """The service in a process of its own, in front of the stub: its process, and a connection to it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Stub(opensearch) as stub:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, stub.url, str(port)], cwd=ROOT, stderr=subprocess.DEVNULL
        )
        try:
            yield process, until_up(port), stub
        finally:
            process.terminate()
            process.wait(30)


def until_up(port):
    deadline = time.monotonic() + 60
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.suppress(OSError):
            if ask(connection, "GET", "/_sidecar/health/ready")[0] == 200:
                return connection
        assert time.monotonic() < deadline
        time.sleep(0.1)


def ask(connection, method, target, data=None):
    connection.request(method, target, data, {"content-type": "application/json"} if data else {})
    answer = connection.getresponse()
    return answer.status, answer.getheader("x-rerank-status"), answer.read()


def held(process):
    """Resident megabytes and open files of the service and its scorer."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    pids = [process.pid, *map(int, children)]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * 4096 / 1e6, sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)


def send(connection, stub, count, start):
    """Two of three requests are reranked: one with an ever new query, one that is remembered; the third passes."""
    for i in range(start, start + count):
        query = f"fox {i}" if i % 3 else "fox"
        made = json.dumps(body(query, size=3, rerank={"window": 10})).encode() if i % 3 < 2 else None
        target = ("POST", "/docs/_search", made) if made else ("GET", "/docs/_doc/1")
        status, outcome, _ = ask(connection, *target)
        assert (status, outcome) == (200, "applied" if made else None)
        stub.requests.clear()


def test_memory_and_files_stay_where_they_were(service):
    process, connection, stub = service
    send(connection, stub, 2000, 0)  # caches fill
    megabytes, files = held(process)
    send(connection, stub, REQUESTS, 2000)
    grown, open_files = held(process)
    report = f"{megabytes:.1f} MB, {files} files; after {REQUESTS} requests {grown:.1f} MB, {open_files} files"
    sys.stdout.write(report + "\n")
    assert grown - megabytes < SLACK, report
    assert abs(open_files - files) <= 2


def test_callers_who_leave_leave_nothing_behind(service):
    process, connection, stub = service
    send(connection, stub, 50, 0)
    _, files = held(process)
    for i in range(500):
        leaving = http.client.HTTPConnection(connection.host, connection.port, timeout=10)
        leaving.request("POST", "/docs/_search", json.dumps(body(f"left {i}")).encode())
        leaving.close()
    # Connections to OpenSearch whose answers were read are kept: aiohttp closes one after one minute, or two.
    deadline = time.monotonic() + 150
    while held(process)[1] - files > 5:
        assert time.monotonic() < deadline, f"{files} files before, {held(process)[1]} after"
        time.sleep(1)
