"""Counts the files of ours that one search enters: by the command line, the proxy and the rerank API.

    python -m benchmarks.files_entered [--list]
    PYTHONPATH=CHECKOUT python benchmarks/files_entered.py --root CHECKOUT

A file counts once a function of it is called, in any thread of this process; what importing a module runs does not
count, and neither does the scorer's process. A move is a call from one file of ours into another one. Each search is
made twice, and the second one is counted. OpenSearch is a stub that answers from memory; the scorer of the service is
one without a model. `--root` counts another checkout, whose modules may have other names.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import io
import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

HITS = 120
QUERY = {"match": {"text": "brown fox"}}
MAPPING = {"docs": {"mappings": {"text": {"full_name": "text", "mapping": {"text": {"type": "text"}}}}}}


class Stub(BaseHTTPRequestHandler):
    """An OpenSearch of 120 documents: answers searches by their `from` and `size`, and what a search asks beside."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a request."""
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        path = self.path.partition("?")[0]
        answer: dict[str, Any] = {"version": {"number": "2.19.1", "distribution": "opensearch"}}
        if path.endswith("_search"):
            answer = found(body.get("from", 0), body.get("size", 10))
        elif "/_mapping/" in path:
            answer = MAPPING
        elif "/_settings/" in path:
            answer = {}
        written = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json; charset=UTF-8")
        self.send_header("content-length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    do_POST = do_GET  # noqa: N815  http.server's name

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def found(start: int, size: int) -> dict[str, Any]:
    """A search response."""
    hits = [
        {"_index": "docs", "_id": str(i), "_score": float(HITS - i), "_source": {"text": f"the fox number {i}"}}
        for i in range(start, min(start + size, HITS))
    ]
    shards = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
    inner = {"total": {"value": HITS, "relation": "eq"}, "max_score": float(HITS), "hits": hits}
    return {"took": 1, "timed_out": False, "_shards": shards, "hits": inner}


class Entered:
    """Counts entered files and moves between them while it is `counting`."""

    def __init__(self, root: Path) -> None:
        self.folders = tuple(f"{root / name}{os.sep}" for name in ("sidecar", "connectors"))
        self.root = root
        self.files: set[str] = set()
        self.moves = 0
        self._counting = False

    def __enter__(self) -> None:
        self.files, self.moves, self._counting = set(), 0, True

    def __exit__(self, *_: object) -> None:
        self._counting = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Take note of a call, as `sys.setprofile` tells of it."""
        name = frame.f_code.co_filename
        if not self._counting or event != "call" or not name.startswith(self.folders):
            return
        if frame.f_code.co_name == "<module>":
            return
        self.files.add(name)
        caller = frame.f_back
        if caller is not None and caller.f_code.co_filename != name:
            self.moves += caller.f_code.co_filename.startswith(self.folders)

    def listed(self) -> list[str]:
        """The files, from the root of the checkout."""
        return sorted(str(Path(name).relative_to(self.root)) for name in self.files)


def by_command(entered: Entered, url: str) -> None:
    """Search by `sidecar search`, with the embedded model."""
    from sidecar.cli.main import main

    os.environ["SIDECAR_OPENSEARCH_URL"] = url
    for _ in range(2):
        try:
            with entered, contextlib.redirect_stdout(io.StringIO()):
                main(["search", "brown fox", "--index", "docs"])
        except SystemExit as end:
            if end.code:
                raise


@contextlib.asynccontextmanager
async def service(url: str) -> Any:
    """The two applications of the service."""
    from sidecar.settings import load_settings

    try:
        parts = importlib.import_module("sidecar.serving.build").parts
    except ModuleNotFoundError:  # as it was called until November 2026
        parts = importlib.import_module("sidecar.serving.parts").parts
    command = (sys.executable, "-m", "benchmarks.identity_scorer")
    settings = {"opensearch_url": url, "budget_ms": 60_000, "score_cache": 0}
    async with parts(load_settings(settings), command) as running:
        await running.loading
        proxy = next(getattr(running, name) for name in ("proxy", "face") if hasattr(running, name))
        yield proxy, running.api


async def post(app: Callable[..., Awaitable[None]], path: str, body: object) -> bytes:
    """Send a request to an ASGI application; return the body of its answer."""
    written, answered = json.dumps(body).encode(), b""
    headers = [
        (b"host", b"localhost"),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(written)),
    ]
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": headers, "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 9280), "state": {},
    }  # fmt: skip
    requests = iter([{"type": "http.request", "body": written, "more_body": False}])

    async def receive() -> dict[str, Any]:
        message = next(requests, None)
        if message is None:
            await asyncio.Event().wait()  # the client stays until it is answered
        return message or {}

    async def send(message: dict[str, Any]) -> None:
        nonlocal answered
        answered += message.get("body", b"")
        if message.get("status", 200) != 200:
            raise RuntimeError(f"{path}: status {message['status']}")

    await app(scope, receive, send)
    return answered


async def by_service(proxied: Entered, called: Entered, url: str) -> None:
    """Search through the proxy, and call the rerank API."""
    search = {"query": QUERY, "ext": {"rerank": {"query_context": {"query_text": "brown fox"}}}}
    texts = [f"the fox number {i}" for i in range(100)]
    async with service(url) as (proxy, api):
        for _ in range(2):
            with proxied:
                answer = json.loads(await post(proxy, "/docs/_search", search))
            if len(answer["hits"]["hits"]) != 10:
                raise RuntimeError("the search gave no page of hits")
            with called:
                answer = json.loads(await post(api, "/v2/rerank", {"query": "brown fox", "documents": texts}))
            if len(answer["results"]) != 100:
                raise RuntimeError("not all documents were ranked")


@contextlib.contextmanager
def stub() -> Iterator[str]:
    """Serve the stub; yields its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def main() -> None:
    """Count, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="the checkout to count")
    parser.add_argument("--list", action="store_true", help="name the files, too")
    options = parser.parse_args()
    root = options.root.resolve()
    sys.path.insert(0, str(root))
    counted = {name: Entered(root) for name in ("sidecar search", "proxy, _search", "rerank API, /v2/rerank")}
    command, proxied, called = counted.values()

    def profile(frame: FrameType, event: str, argument: object) -> None:
        for one in counted.values():
            one(frame, event, argument)

    threading.setprofile(profile)
    sys.setprofile(profile)
    with stub() as url:
        by_command(command, url)
        asyncio.run(by_service(proxied, called, url))
    sys.setprofile(None)
    sys.stdout.write("| one search by | files entered | moves between files |\n| --- | --- | --- |\n")
    for name, one in counted.items():
        sys.stdout.write(f"| {name} | {len(one.files)} | {one.moves} |\n")
    for name, one in counted.items() if options.list else ():
        sys.stdout.write(f"\n{name}:\n  " + "\n  ".join(one.listed()) + "\n")


if __name__ == "__main__":
    main()
