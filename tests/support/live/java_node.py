"""A search engine's node in a Java process of its own, without Docker; for tests on loopback only."""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

LOGGING = """\
status=error
appender.c.type=Console
appender.c.name=c
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=[%d{ISO8601}][%-5p][%c{1}] %m%n
rootLogger.level=info
rootLogger.appenderRef.c.ref=c
"""
# Fast to start, and small.
JVM_OPTIONS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true", "-Dlog4j2.disable.jmx=true")


class NodeFailed(Exception):
    """The node was built but did not come up."""


class JavaNode:
    """A running node on ports of its own choice: `with …Node(home, …) as node: node.url`.

    `command` starts it, and it prints `NODE STARTED` with its address. It ends when its standard input does.
    """

    def __init__(self, command: Sequence[Any], folder: Path, *, login: Any = None, timeout: float = 180) -> None:
        self.url = ""
        self.log = folder / "node.log"
        self.login = login
        with self.log.open("wb") as log:
            # A session of its own keeps Ctrl-C from the node: pytest ends it after its tests.
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True
            )
        try:
            self._wait(time.monotonic() + timeout)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the node, by force if it never started or does not end by itself."""
        self.process.stdin.close()
        if not self.url:
            self.process.kill()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait(self, deadline: float) -> None:
        """Wait until searches are answered: for some seconds after it has started a node answers 503."""
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise NodeFailed(f"the node died, exit status {self.process.returncode}: {self._end_of_log()}")
            started = re.search(rb"NODE STARTED (\S+)", self.log.read_bytes())
            scheme = "https" if self.login else "http"
            self.url = f"{scheme}://{started[1].decode()}" if started else ""
            if self.url and self._is_healthy():
                return
            time.sleep(0.2)
        raise NodeFailed(f"the node was not ready in time: {self._end_of_log()}")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request, as the administrator, and decode the answer. Raises an `OSError` for an error status."""
        headers = {"Content-Type": "application/json"}
        if self.login:
            headers["Authorization"] = self.login.authorization
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, headers, method=method)
        context = ssl.create_default_context(cafile=self.login.ca) if self.login else None
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            return json.load(answer)

    def _is_healthy(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("GET", "_cluster/health?wait_for_status=yellow&timeout=5s")["timed_out"] is False
        return False

    def _end_of_log(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]


def write_config(config: Path, name: str, settings: Mapping[str, Any]) -> None:
    """Write a node's folder of configuration: its settings, with those of a node on its own, and its logging."""
    config.mkdir(parents=True, exist_ok=True)
    (config / "log4j2.properties").write_text(LOGGING)
    folder = config.parent
    whole = {
        "cluster.name": "rerank-sidecar-test",
        "node.name": "test-node",
        "network.host": "127.0.0.1",
        "http.port": 0,
        "transport.port": 0,
        "discovery.type": "single-node",
        "path.data": folder / "data",
        "path.logs": folder / "logs",
        "cluster.routing.allocation.disk.threshold_enabled": "false",
        **settings,
    }
    (config / name).write_text("".join(f"{key}: {value}\n" for key, value in whole.items()))
