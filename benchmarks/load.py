"""Twice as many searches as the service can score, for a minute: every answer checked, memory watched.

    python -m benchmarks.load --url http://localhost:9200 [--seconds 60] [--clients 64] [--json FILE]

The embedded model scores. First one client alone, then all of them, each sending its next search when it has the last
one's answer. An answer is right if it is the reranked order (checked against the model itself, in this process), or
OpenSearch's own order with its reason, or what was scored in time before the rest in OpenSearch's order, or a 429.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import resource
import statistics
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.proxy import search
from benchmarks.running import Caller, fill, percentile, queries, service
from sidecar.candidates import Passage
from sidecar.scoring.loading import load_scorer

WINDOW = 100
# Two scores closer than that may change places: another batch rounds otherwise.
TIE = 1e-5


@dataclass(frozen=True, slots=True)
class Answer:
    """What one search came to."""

    query: str
    status: int
    outcome: str
    reason: str
    ids: tuple[str, ...]
    seconds: float


@dataclass
class Kept:
    """What all clients got, and the most memory the service's processes held together."""

    answers: list[Answer] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    bytes: int = 0


def run(url: str, pid: int, asked: Sequence[str], clients: int, seconds: float) -> Kept:
    """Send searches by so many clients, for so many seconds; each of the queries is asked once at most."""
    kept, waiting, end = Kept(), iter(asked), time.monotonic() + seconds
    lock = threading.Lock()

    def client() -> None:
        caller = Caller(url, timeout=120)
        while time.monotonic() < end:
            with lock:
                query = next(waiting)
            try:
                kept.answers.append(_ask(caller, query))
            except (OSError, ValueError) as error:
                kept.lost.append(f"{query}: {error!r}")

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        kept.bytes = max(kept.bytes, resident(pid))
        time.sleep(0.5)
    return kept


def _ask(caller: Caller, query: str) -> Answer:
    started = time.perf_counter()
    asks = {"ext": {"rerank": {"query_context": {"query_text": query}, "window": WINDOW}}}
    status, headers, body = caller.ask(*search(query, **asks))
    hits = json.loads(body)["hits"]["hits"] if status == 200 else []
    said = headers.get("x-rerank-status", ""), headers.get("x-rerank-reason", "")
    return Answer(query, status, *said, tuple(hit["_id"] for hit in hits), time.perf_counter() - started)


def resident(pid: int) -> int:
    """Memory of a process and its children, in bytes; pages that they share count for each."""
    with contextlib.suppress(OSError):
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
        return own + sum(resident(int(child)) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return 0


class Judge:
    """Tells right answers from wrong ones."""

    def __init__(self, url: str) -> None:
        self._caller = Caller(url)
        self._scorer = load_scorer("minilm")

    def verdict(self, answer: Answer) -> str:
        """What an answer is: applied, partial, first stage, refused; or "wrong: …"."""
        if answer.status == 429:
            return "refused"
        if answer.status != 200:
            return f"wrong: status {answer.status}"
        hits = json.loads(self._caller.ask(*search(answer.query, size=WINDOW))[2])["hits"]["hits"]
        order = [hit["_id"] for hit in hits]
        if answer.outcome in {"failed", "skipped"}:
            return "first stage" if answer.reason and list(answer.ids) == order[:10] else "wrong: not the first stage"
        passages = [Passage("", hit["_source"]["text"]) for hit in hits]
        scores = [score.value for score in self._scorer.score(answer.query, passages)]
        scored = WINDOW if answer.outcome == "applied" else int(answer.reason.split()[0])
        expected = sorted(scores[:scored], reverse=True)[:10]
        expected_ids = set(order[:scored]) if scored >= 10 else set(order)
        got = [scores[order.index(one)] for one in answer.ids[:scored]]
        right = set(answer.ids) <= expected_ids and all(
            abs(mine - theirs) < TIE for mine, theirs in zip(got, expected, strict=False)
        )
        right = right and list(answer.ids[scored:]) == order[scored : scored + len(answer.ids[scored:])]
        return answer.outcome if right else f"wrong: {answer.outcome}"


def summary(kept: Kept, judge: Judge, seconds: float) -> dict[str, Any]:
    """Counts and figures of one run."""
    verdicts = Counter(judge.verdict(answer) for answer in kept.answers)
    times = [answer.seconds for answer in kept.answers]
    return {
        "answers": len(kept.answers),
        "lost": len(kept.lost),
        "wrong": sum(count for verdict, count in verdicts.items() if verdict.startswith("wrong")),
        "verdicts": dict(verdicts),
        "reasons": dict(Counter(" ".join(answer.reason.split()[-6:]) for answer in kept.answers if answer.reason)),
        "applied_a_second": verdicts["applied"] / seconds,
        "p50_s": statistics.median(times),
        "p99_s": percentile(times, 0.99),
        "resident_mb": kept.bytes / 1e6,
    }


def main() -> None:
    """Print both runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://localhost:9200")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()

    fill(arguments.url)
    asked = list(itertools.islice(queries(), 100_000))
    with service(arguments.url, identity=False) as (url, process):
        run(url, process.pid, asked[:1000], 1, 5)
        alone = run(url, process.pid, asked[1000:50_000], 1, arguments.seconds / 2)
        many = run(url, process.pid, asked[50_000:], arguments.clients, arguments.seconds)
        load = os.getloadavg()[0]
    judge = Judge(arguments.url)
    found = {
        "1 client": summary(alone, judge, arguments.seconds / 2),
        f"{arguments.clients} clients": summary(many, judge, arguments.seconds),
        "load average": load,
    }
    print(json.dumps(found, indent=1))  # noqa: T201  it prints
    if arguments.json:
        arguments.json.write_text(json.dumps(found))
    if many.lost or any(found[name]["wrong"] for name in list(found)[:2]):  # type: ignore[index]
        raise SystemExit("answers were wrong or lost")


if __name__ == "__main__":
    main()
