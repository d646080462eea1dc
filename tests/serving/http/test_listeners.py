"""Two listeners begin and end together: what is under way on either is answered, whatever ends them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from sidecar.core.errors import ConfigurationError
from sidecar.serving.http.listeners import reserve

PROGRAM = """
import asyncio, sys
import uvicorn
from sidecar.serving.http.listeners import Listener, reserve, serve_together

async def app(scope, receive, send):
    seconds = float(scope["path"][1:] or 0)
    if seconds:
        print("asked", flush=True)
    await asyncio.sleep(seconds)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"done"})

opened = [reserve("127.0.0.1", 0), reserve("127.0.0.1", 0)]
print(*(one.getsockname()[1] for one in opened), flush=True)
config = lambda: uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=10)
asyncio.run(serve_together([(Listener(config()), one) for one in opened]))
print("ended", flush=True)
"""


@pytest.fixture
def two():
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    )
    urls = [f"http://127.0.0.1:{port}" for port in process.stdout.readline().split()]
    for url in urls:
        answer = None
        while answer is None:
            try:
                answer = httpx.get(f"{url}/0")
            except httpx.ConnectError:
                time.sleep(0.05)
    yield process, urls
    process.kill()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_both_finish_what_they_do(two, number):
    process, urls = two
    waiting = [subprocess.Popen(["curl", "-sS", f"{url}/0.5"], stdout=subprocess.PIPE, text=True) for url in urls]
    assert [process.stdout.readline() for _ in urls] == ["asked\n"] * 2
    process.send_signal(number)
    assert [one.communicate()[0] for one in waiting] == ["done", "done"]
    assert (process.communicate(timeout=10)[0], process.returncode) == ("ended\n", 0)


def test_a_second_signal_ends_it_at_once(two):
    process, urls = two
    waiting = subprocess.Popen(["curl", "-s", f"{urls[0]}/60"])
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=8)[0] == "ended\n"
    waiting.wait()


def test_an_address_that_cant_be_had_is_said():
    with reserve("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"can't listen on .*:{port}: Address already in use"):
            reserve("127.0.0.1", port)
    with pytest.raises(ConfigurationError, match="no.such.host.invalid is not an address to listen on"):
        reserve("no.such.host.invalid", 0)
