"""The service on ports of its own, in a thread, with a scorer process that needs no model."""

from __future__ import annotations

import asyncio
import http.client
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import msgspec
import uvicorn

from sidecar.serving.build import ServiceParts, parts
from sidecar.serving.run import client_limits, listener_config
from sidecar.settings import Settings
from tests.support.servers.scripted import FAKE


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return msgspec.json.decode(self.body)


@dataclass
class Served:
    """A running service: its two URLs, its parts, and the loop they live in."""

    url: str
    api_url: str
    running: ServiceParts
    loop: asyncio.AbstractEventLoop
    stopping: list[uvicorn.Server] = field(default_factory=list)

    def ask(self, method, target, body=None, headers=None, timeout=30):
        """One request over a connection of its own; `target` goes out as it is written."""
        return ask(self.url, method, target, body, headers, timeout)

    def search(self, index, body, **headers):
        return self.ask(
            "POST", f"/{index}/_search", msgspec.json.encode(body), {"content-type": "application/json", **headers}
        )


def ask(url, method, target, body=None, headers=None, timeout=30):
    parts_of = urlsplit(url)
    connection = http.client.HTTPConnection(parts_of.hostname, parts_of.port, timeout=timeout)
    try:
        chunked = not isinstance(body, bytes | None)
        connection.request(method, target, body=body, headers=headers or {}, encode_chunked=chunked)
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@contextmanager
def served(opensearch_url, command=FAKE, traced_by=None, **options):
    """Serve in front of `opensearch_url`, with traces `traced_by` these; `options` are settings."""
    options = {"budget_ms": 20_000, **options}
    settings = Settings(opensearch_url=opensearch_url, **options)
    ready, found, failure = threading.Event(), [], []

    async def run():
        try:
            async with parts(settings, command, traces=traced_by) as running:
                servers = [
                    uvicorn.Server(listener_config(settings, app, 0, client_limits(settings, 10_000)))
                    for app in running.ports
                ]
                tasks = [asyncio.create_task(server.serve()) for server in servers]
                while not all(server.started for server in servers) and not any(task.done() for task in tasks):  # noqa: ASYNC110  uvicorn has no event for it
                    await asyncio.sleep(0.01)
                urls = [f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}" for server in servers]
                await running.loading
                found.append(Served(*urls, running, asyncio.get_running_loop(), servers))
                ready.set()
                await asyncio.gather(*tasks)
        except BaseException as error:  # noqa: BLE001  the test raises it, for this is a thread
            failure.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    ready.wait(60)
    if not found:
        raise failure[0]
    try:
        yield found[0]
    finally:
        for server in found[0].stopping:
            server.should_exit = True
        thread.join(30)
        if failure:
            raise failure[0]
