"""Measure what asking a remote scorer through the service costs beyond the scorer's own latency.

    python -m benchmarks.remote_scorer [--milliseconds 20] [--requests 300]

The scorer is a server of vLLM's dialect without a model: it answers after the given time. Each request has 100
passages, and goes to it directly and through `sidecar serve`, in turns, so that both run under the same load. The
resident memory is that of all processes of the service.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from benchmarks.running import Caller, percentile

PASSAGES = 100
WORDS = "the quick brown fox jumps over the lazy dog " * 7


def server(seconds: float) -> web.Application:
    """Make a scorer that takes `seconds` for a request, whatever it holds."""

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "fixed", "owned_by": "vllm"}]})

    async def rerank(request: web.Request) -> web.Response:
        body = await request.json()
        await asyncio.sleep(seconds)
        scores = [{"index": i, "relevance_score": i / PASSAGES} for i in range(len(body["documents"]))]
        return web.json_response({"results": scores})

    app = web.Application(client_max_size=2**26)
    app.router.add_get("/v1/models", models)
    app.router.add_post("/rerank", rerank)
    return app


def milliseconds(caller: Caller, number: int) -> float:
    """Send one request with a query and texts of its own; return the time that its answer took."""
    documents = [f"{number} {i} {WORDS}" for i in range(PASSAGES)]
    body = json.dumps({"query": f"query {number}", "documents": documents}).encode()
    started = time.perf_counter()
    status, _, answer = caller.ask("POST", "/rerank", body)
    took = 1000 * (time.perf_counter() - started)
    if status != HTTPStatus.OK or len(json.loads(answer)["results"]) != PASSAGES:
        raise SystemExit(f"HTTP {status}: {answer[:200]!r}")
    return took


def until_ready(url: str) -> None:
    """Wait until a model answers."""
    for _ in range(600):
        try:
            if Caller(url).ask("GET", "/health")[0] == HTTPStatus.OK:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"nothing answers at {url}")


def megabytes(pid: int) -> float:
    """Return the resident memory of a process and its children."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    children = [int(c) for file in Path(f"/proc/{pid}/task").glob("*/children") for c in file.read_text().split()]
    return pages * os.sysconf("SC_PAGESIZE") / 1e6 + sum(megabytes(child) for child in children)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--milliseconds", type=float, default=20.0)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--serve-scorer", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_scorer:
        web.run_app(server(options.milliseconds / 1000), port=options.serve_scorer, print=None)
        return
    scorer_port, port, api_port = 18471, 18472, 18473
    scorer_url, url = f"http://127.0.0.1:{scorer_port}", f"http://127.0.0.1:{api_port}"
    serving = [sys.executable, "-m", "benchmarks.remote_scorer", "--serve-scorer", str(scorer_port)]
    service = [sys.executable, "-m", "sidecar", "serve", "--model", scorer_url, "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        scorer = subprocess.Popen([*serving, "--milliseconds", str(options.milliseconds)])  # noqa: S603  its own arguments
        process = subprocess.Popen([*service, "--api-port", str(api_port)], stdout=log, stderr=log)  # noqa: S603  as above
        try:
            until_ready(url)
            alone, service_caller = Caller(scorer_url), Caller(url)
            for number in range(20):
                milliseconds(service_caller, number)
            direct, through = [], []
            for number in range(20, 20 + options.requests):
                direct.append(milliseconds(alone, number))
                through.append(milliseconds(service_caller, number))
            memory = megabytes(process.pid)
        finally:
            process.terminate()
            scorer.terminate()
            process.wait()
            scorer.wait()
    out = sys.stdout.write
    out(f"load {os.getloadavg()[0]:.1f}; {options.requests} requests of {PASSAGES} passages each way, in turns\n")
    for share in (0.5, 0.95):
        one, two = percentile(direct, share), percentile(through, share)
        out(f"p{100 * share:.0f}: {one:.1f} ms directly, {two:.1f} ms through the service: {two - one:.1f} ms more\n")
    out(f"resident memory of the service: {memory:.0f} MB\n")


if __name__ == "__main__":
    main()
