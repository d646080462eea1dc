"""`sidecar serve` in a process of its own, so that what attacks cost can be measured; its scorer needs no model."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers.served import ask

ROOT = Path(__file__).parents[3]
SERVE = """
import asyncio, json, resource, sys
from sidecar.serving.run import serve
from sidecar.settings import Settings
from tests.support.servers.scripted import FAKE
open_files, options = json.loads(sys.argv[1])
if open_files:
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
asyncio.run(serve(Settings(**options), (*FAKE, *sys.argv[2:])))
"""


@dataclass
class ServiceProcess:
    """A running service: its ports, its process and its log."""

    url: str
    api_url: str
    process: subprocess.Popen
    log: Path

    @property
    def address(self):
        return address_of(self.url)

    @property
    def megabytes(self):
        """Resident memory of the service itself, without its scorer."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE") / 1e6

    @property
    def is_ready(self):
        with contextlib.suppress(OSError):
            return ask(self.url, "GET", "/_sidecar/health/ready").status == 200
        return False

    def series(self):
        """Return the names and labels of all metrics."""
        lines = ask(self.url, "GET", "/_sidecar/metrics").body.decode().splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


def address_of(url):
    host, _, port = url.rpartition("//")[2].rpartition(":")
    return host, int(port)


def free_ports(count):
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in opened]


@contextlib.contextmanager
def serving(folder, *, scorer=("constant",), open_files=None, **options):
    """Serve with these settings until the block ends; `open_files` limits the process's file descriptors."""
    port, api_port = free_ports(2)
    made = json.dumps([open_files, {"budget_ms": 20_000, "port": port, "api_port": api_port, **options}])
    log = folder / f"service-{port}.log"
    with log.open("wb") as out:
        command = [sys.executable, "-c", SERVE, made, *scorer]
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
    service = ServiceProcess(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{api_port}", process, log)
    try:
        deadline = time.monotonic() + 60
        while not service.is_ready:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield service
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
