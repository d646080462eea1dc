"""Shared by the benchmarks of the service: the service in its own process, a realistic index, and plain HTTP.

python -m benchmarks.running --opensearch-url URL --port PORT [--identity]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import http.client
import itertools
import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from connectors.opensearch.transport import connect
from sidecar.demo_corpus import standard_library
from sidecar.serving.run import serve
from sidecar.serving.scorer.process import COMMAND
from sidecar.settings import load_settings

INDEX = "sidecar-benchmark-2"
DOCUMENTS = 20_000
IDENTITY = (sys.executable, "-m", "benchmarks.identity_scorer")


class Caller:
    """One client with one persistent connection, with as little overhead as possible."""

    def __init__(self, url: str, timeout: float = 60) -> None:
        at = urlsplit(url)
        self._connection = http.client.HTTPConnection(at.hostname or "localhost", at.port, timeout=timeout)

    def ask(self, method: str, target: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        """Send a request; return status, headers (names in lower case) and body."""
        headers = {"content-type": "application/json"} if body is not None else {}
        try:
            self._connection.request(method, target, body, headers)
            answer = self._connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        except BaseException:
            self._connection.close()
            raise


@functools.cache
def words() -> list[str]:
    """Return the words of Python's documentation, most frequent first: a model reads them like any English."""
    found = Counter(word for document in standard_library() for word in re.findall("[a-z]{2,}", document.text.lower()))
    return sorted(found, key=lambda word: (-found[word], word))


def texts(count: int, length: int = 100) -> Iterator[str]:
    """Yield texts of about `length` words, by Zipf's law; the same ones each time."""
    draw = random.Random(1)  # noqa: S311  not a secret
    known = words()
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(known) + 1)))
    for _ in range(count):
        yield " ".join(draw.choices(known, cum_weights=weights, k=draw.randrange(length // 2, length * 3 // 2)))


def queries() -> Iterator[str]:
    """Yield queries of two frequent words and a rarer one, without end."""
    draw = random.Random(2)  # noqa: S311  not a secret
    known = words()
    while True:
        yield " ".join([*draw.sample(known[20:400], 2), draw.choice(known[400:4000])])


def fill(url: str) -> None:
    """Make the index of 20,000 documents of about 100 words, if it does not exist."""
    client = connect(url, timeout=300)
    if client.indices.exists(index=INDEX) and client.count(index=INDEX)["count"] == DOCUMENTS:
        return
    client.indices.delete(index=INDEX, ignore_unavailable=True)
    properties = {"text": {"type": "text"}, "tag": {"type": "keyword"}}
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    client.indices.create(index=INDEX, body={"settings": settings, "mappings": {"properties": properties}})
    lines: list[dict[str, Any]] = []
    for number, text in enumerate(texts(DOCUMENTS)):
        lines += [{"index": {"_id": str(number)}}, {"text": text, "tag": f"t{number % 20}", "price": number / 100}]
        if len(lines) == 1000:
            client.bulk(index=INDEX, body=lines)
            lines = []
    client.indices.refresh(index=INDEX)
    client.indices.forcemerge(index=INDEX, max_num_segments=1)


@contextlib.contextmanager
def service(opensearch_url: str, *, identity: bool, **options: object) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the service in its own process, as `sidecar serve` does; yields its URL and the process.

    `options` are settings; with `identity` nothing is scored.
    """
    port = _free_port()
    variables = {
        f"SIDECAR_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in options.items()
    }
    command = [sys.executable, "-m", "benchmarks.running", "--opensearch-url", opensearch_url, "--port", str(port)]
    with Path(os.devnull).open("wb") as nowhere:
        process = subprocess.Popen(  # noqa: S603  the command is ours
            [*command, *(["--identity"] if identity else [])], env=os.environ | variables, stderr=nowhere
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _until_ready(url, process)
        yield url, process
    finally:
        process.terminate()
        process.wait(60)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            if Caller(url).ask("GET", "/_sidecar/health/ready")[0] == 200:
                return
        time.sleep(0.1)
    raise SystemExit("the service did not start")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> None:
    """Run the service."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opensearch-url", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--identity", action="store_true", help="without a model")
    arguments = parser.parse_args()
    settings = load_settings({"opensearch_url": arguments.opensearch_url, "port": arguments.port, "api_port": 0})
    asyncio.run(serve(settings, IDENTITY if arguments.identity else COMMAND))


if __name__ == "__main__":
    main()
