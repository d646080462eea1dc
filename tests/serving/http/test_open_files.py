"""More connections than files: the log stays short, those that are there are served, and later ones again."""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sidecar.serving.http.open_files import Warnings, client_connections

PROGRAM = """
import asyncio, logging, resource, sys
from sidecar.serving.http.listeners import Listener, reserve, serve_together
from sidecar.serving.http.open_files import quiet_accept_errors
from sidecar.serving.run import client_limits, listener_config
from sidecar.settings import Settings

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})

async def main():
    logging.basicConfig()
    quiet_accept_errors(asyncio.get_running_loop())
    settings = Settings(slow_client_seconds=60)
    opened = reserve("127.0.0.1", 0)
    config = listener_config(settings, app, 0, client_limits(settings, int(sys.argv[1])))
    config.load()
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    opened.listen()
    print(opened.getsockname()[1], flush=True)
    await serve_together([(Listener(config), opened)])

asyncio.run(main())
"""


@pytest.fixture
def serving(request, tmp_path):
    log = tmp_path / "log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(request.param)],
            stdout=subprocess.PIPE, stderr=written, text=True, cwd=Path(__file__).parents[3],
        )  # fmt: skip
    yield int(process.stdout.readline()), log
    process.kill()
    process.wait()


def asked(connection):
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    received = b""
    while not received.endswith(b"ok") and (part := connection.recv(1000)):
        received += part
    return received[-2:]


@pytest.mark.parametrize("serving", [10_000], indirect=True)
def test_without_a_file_for_a_connection_the_log_stays_short(serving):
    port, log = serving
    with socket.create_connection(("127.0.0.1", port), timeout=20) as first:
        assert asked(first) == b"ok"
        with contextlib.ExitStack() as stack:
            for _ in range(200):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            time.sleep(3)
            assert asked(first) == b"ok"
        written = log.read_text()
        assert written.count("no connection can be accepted: [Errno 24]") == 1
        assert len(written) < 2000
        with socket.create_connection(("127.0.0.1", port), timeout=20) as later:
            assert asked(later) == b"ok"


@pytest.mark.parametrize("serving", [20], indirect=True)
def test_more_connections_than_a_listener_may_have_are_closed(serving):
    port, log = serving
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(40)]
        time.sleep(0.5)
        closed = 0
        for connection in opened:
            with contextlib.suppress(ConnectionError):
                if asked(connection) == b"ok":
                    continue
            closed += 1
        assert closed == 20
    assert log.read_text().count("a connection was closed: 20 are open") == 1


def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = min(before[1] if before[1] != resource.RLIM_INFINITY else 65_536, 65_536)
    try:
        assert client_connections(256) == (soft - 256 - 128) // 2
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= soft
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_warning_is_not_repeated_before_its_time(caplog):
    warnings = Warnings(seconds=0.2)
    for _ in range(5):
        warnings.warn("full")
    time.sleep(0.25)
    warnings.warn("full")
    assert caplog.messages == [f"full ({n} times more since the last such line)" for n in (0, 4)]
