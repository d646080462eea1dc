"""`sidecar serve` in a process of its own, from its first moment on: it may still load, or end while it does."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.servers.hits import opensearch
from tests.support.servers.served import ask
from tests.support.servers.stub import Stub
from tests.support.waiting import until

SERVE = """
import asyncio, json, sys
from sidecar.core.errors import ModelError
from sidecar.serving.run import serve
from sidecar.settings import Settings
try:
    asyncio.run(serve(Settings(opensearch_url=sys.argv[1], port=int(sys.argv[2]), api_port=0), json.loads(sys.argv[3])))
except ModelError as error:
    sys.exit(error.message)
"""


@contextlib.contextmanager
def serving(command):
    """Serve in front of a stub with the scorer that `command` starts; yields the process and its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Stub(opensearch) as stub:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, stub.url, str(port), json.dumps(command)],
            cwd=Path(__file__).parents[3],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.communicate()


def until_answered(url, path, status):
    """Ask until the answer has this status, and return it."""

    def answered():
        with contextlib.suppress(OSError):
            answer = ask(url, "GET", path)
            return answer if answer.status == status else None

    return until(answered, seconds=60)
