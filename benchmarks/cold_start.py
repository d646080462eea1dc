"""Time commands from start to end, and the service until it is ready: this checkout compared with another.

    python -m benchmarks.cold_start [--before CHECKOUT] [--rounds 5] [--drop-caches]

Each round runs every command once in each checkout, so that both run under the same load. `--drop-caches` empties the
page cache before each run, which needs root on Linux. Ten passages are reranked; the Lucene index is of Python's own
documentation, as in the demo.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from connectors.pyserini.build import build_index
from sidecar.demo_corpus import standard_library

HERE = Path(__file__).parents[1]
DROP_CACHES = Path("/proc/sys/vm/drop_caches")
PORTS = ("19480", "19481")
QUERY = "how long does a flea live"


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--before", type=Path, help="another checkout, run in turn with this one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--drop-caches", action="store_true")
    given = parser.parse_args()
    checkouts = {"this": HERE} | ({"before": given.before.resolve()} if given.before else {})
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        prepare(work)
        seconds: dict[tuple[str, str], list[float]] = {}
        megabytes: dict[str, float] = {}
        for _ in range(given.rounds):
            for name, checkout in checkouts.items():
                for command, run in commands(checkout, work, megabytes, name).items():
                    if given.drop_caches:
                        DROP_CACHES.write_text("3", encoding="ascii")
                    started = time.perf_counter()
                    run()
                    seconds.setdefault((command, name), []).append(time.perf_counter() - started)
    sys.stdout.write(
        "| s, median (least to most) | " + " | ".join(checkouts) + " |\n| --- |" + " --- |" * len(checkouts) + "\n"
    )
    for command in dict.fromkeys(command for command, _ in seconds):
        found = (seconds[command, name] for name in checkouts)
        cells = (f"{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})" for times in found)
        sys.stdout.write(f"| {command} | {' | '.join(cells)} |\n")
    sys.stdout.write(f"| MB resident, ready service | {' | '.join(f'{megabytes[name]:.0f}' for name in checkouts)} |\n")


def prepare(work: Path) -> None:
    """Write the candidates to rerank, and a Lucene index to search."""
    candidates = [
        {"docid": f"d{i}", "score": 20 - i, "title": "", "text": f"A flea lives {i} days."} for i in range(10)
    ]
    line = json.dumps({"query_id": "1", "query": QUERY, "candidates": candidates})
    (work / "ten.jsonl").write_text(line + "\n", encoding="utf-8")
    build_index(list(standard_library()), work / "index")


def commands(checkout: Path, work: Path, megabytes: dict[str, float], name: str) -> dict[str, Callable[[], None]]:
    """Return the commands to time, by name; the service's memory is stored in `megabytes`."""

    def run(*arguments: str) -> None:
        subprocess.run(sidecar(*arguments), cwd=checkout, env=environment(checkout), check=True, capture_output=True)  # noqa: S603

    def rerank() -> None:
        for path in work.glob("ten.trec*"):
            path.unlink()
        run("rerank", str(work / "ten.jsonl"), "--output", str(work / "ten.trec"), "--format", "trec")

    def serve() -> None:
        with serving(checkout) as service:
            megabytes[name] = resident(service.pid)

    search = ("search", "make a temporary folder", "--index", str(work / "index"))
    return {"rerank 10 passages": rerank, "search a Lucene index": lambda: run(*search), "service ready": serve}


def sidecar(*arguments: str) -> list[str]:
    """Return the command line of a command."""
    return [sys.executable, "-m", "sidecar", *arguments]


def environment(checkout: Path) -> dict[str, str]:
    """Return the environment in which Python finds that checkout's code."""
    return {**os.environ, "PYTHONPATH": str(checkout)}


@contextmanager
def serving(checkout: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service until it is ready to score, without an OpenSearch behind it."""
    arguments = ("serve", "--opensearch-url", "http://127.0.0.1:9", "--port", PORTS[0], "--api-port", PORTS[1])
    service = subprocess.Popen(  # noqa: S603
        sidecar(*arguments), cwd=checkout, env=environment(checkout), stderr=subprocess.DEVNULL
    )
    try:
        while not is_ready() and service.poll() is None:
            time.sleep(0.02)
        yield service
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait()


def is_ready() -> bool:
    """True if the rerank API says that a model answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORTS[1]}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def resident(pid: int) -> float:
    """Return the resident memory of a process and its children, in MB; pages that they share count twice."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    texts = [Path(f"/proc/{one}/status").read_text(encoding="utf-8") for one in (pid, *children)]
    return sum(int(text.partition("VmRSS:")[2].split()[0]) for text in texts) / 1024


if __name__ == "__main__":
    main()
