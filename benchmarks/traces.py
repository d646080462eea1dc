"""Measure what traces cost: each reranked search with and without them, in turns, so that both run under the same load.

    python -m benchmarks.traces --url http://localhost:9200 [--rounds N]

The scorer has no model, so that the difference is not lost in scoring. A collector in this process takes the spans. The
index is that of `benchmarks.proxy`, and is made if it does not exist.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.proxy import compare, same, search
from benchmarks.running import Caller, fill, service


class _Collector(BaseHTTPRequestHandler):
    """Takes whatever is sent."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as the base class has it
        """Log nothing."""


@contextlib.contextmanager
def collector() -> Iterator[str]:
    """Take spans during the block; yields the endpoint."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def main() -> None:
    """Print the medians and 99th percentiles, in milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://localhost:9200")
    parser.add_argument("--rounds", type=int, default=300)
    arguments = parser.parse_args()

    fill(arguments.url)
    reranked = same(lambda query, _: search(query, ext={"rerank": {}}))
    with collector() as endpoint, service(arguments.url, identity=True, score_cache=0) as (plain, _):
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
        with service(arguments.url, identity=True, score_cache=0, traces=True) as (traced, _):
            (found,) = compare(Caller(plain), Caller(traced), {"reranked": reranked}, arguments.rounds).values()
    print("| load average | p50 without | p50 with | difference | p99 without | p99 with |")  # noqa: T201  it prints
    print("| --- | --- | --- | --- | --- | --- |")  # noqa: T201
    figures = " | ".join(f"{value:.2f}" for value in found.values())
    print(f"| {os.getloadavg()[0]:.1f} | {figures} |")  # noqa: T201


if __name__ == "__main__":
    main()
