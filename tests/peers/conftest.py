"""Servers of other projects, as processes of an environment of their own, which `make test-peers` makes."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.servers.served import ask
from tests.support.servers.service_process import free_ports
from tests.support.waiting import until

# Nothing is fetched, and nothing is sent to anybody's makers.
QUIET = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}


@pytest.fixture(scope="session")
def peers():
    """The folder of the commands of that environment."""
    found = os.environ.get("SIDECAR_TEST_PEERS")
    if not found:
        pytest.fail("SIDECAR_TEST_PEERS names no environment: run `make test-peers`")
    return Path(found).absolute()


@pytest.fixture(scope="session")
def serving(peers, tmp_path_factory):
    """Start a server, `serving(*command, ready=path)`, whose path answers when it is ready; gives its URL."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | QUIET
    with contextlib.ExitStack() as stack:

        def start(*command, ready):
            [port] = free_ports(1)
            log = tmp_path_factory.mktemp("peer") / "log"
            words = [peers / command[0], *command[1:], "--host", "127.0.0.1", "--port", str(port)]
            process = subprocess.Popen(words, env=environment, stdout=log.open("wb"), stderr=subprocess.STDOUT)
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
            url = f"http://127.0.0.1:{port}"

            def answers():
                assert process.poll() is None, log.read_text(errors="replace")[-3000:]
                with contextlib.suppress(OSError):
                    return ask(url, "GET", ready).status == 200
                return False

            until(answers, seconds=300)
            return url

        yield start
