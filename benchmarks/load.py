"""Send twice as many searches as the service can score, for a minute; check every answer and measure the memory.

    python -m benchmarks.load --url http://localhost:9200 [--seconds 60] [--clients 64] [--times 2] [--json FILE]

The embedded model scores. First one client alone sends its next search when it has the answer to the last one: its
reranked searches a second are the capacity. Then all clients together send `--times` the capacity (0: without any
pause). At last the single client runs again, since a machine's pace drifts. An answer is right if it is the reranked
order (compared with the model itself, in this process), or OpenSearch's own order with its reason, or the passages
scored in time before the rest in OpenSearch's order, or a 429.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import re
import resource
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.proxy import search
from benchmarks.running import Caller, fill, percentile, queries, service
from sidecar.core.candidates import Passage
from sidecar.scoring.loading import load_scorer

# Scores closer than this may swap, since another batch rounds differently: absolute in float32, in bfloat16 in
# standard deviations of the query's scores (one score was off by at most 0.07 on TREC DL 2019).
TIE, TIE_BFLOAT16 = 1e-5, 0.15


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one search."""

    query: str
    status: int
    outcome: str
    reason: str
    ids: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """The load: `rate` is searches a second by all clients together, 0 as many as they can send."""

    clients: int
    seconds: float
    window: int
    rate: float = 0.0


@dataclass
class Kept:
    """The answers of all clients, the time they took, and the peak memory of the service's processes together."""

    answers: list[Answer] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    bytes: int = 0
    seconds: float = 0.0


def run(url: str, pid: int, asked: Iterator[str], load: Load) -> Kept:
    """Send searches from so many clients, for so many seconds; each query is sent at most once."""
    kept, lock, started = Kept(), threading.Lock(), time.monotonic()
    turns = itertools.count()

    def client() -> None:
        caller = Caller(url, timeout=120)
        while True:
            with lock:
                query, turn = next(asked), next(turns)
            due = started + (turn / load.rate if load.rate else 0)
            if max(due, time.monotonic()) >= started + load.seconds:
                return
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                kept.answers.append(_ask(caller, query, load.window))
            except (OSError, ValueError) as error:
                kept.lost.append(f"{query}: {error!r}")

    threads = [threading.Thread(target=client) for _ in range(load.clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        kept.bytes = max(kept.bytes, resident(pid))
        time.sleep(0.5)
    kept.seconds = time.monotonic() - started
    return kept


def _ask(caller: Caller, query: str, window: int) -> Answer:
    started = time.perf_counter()
    asks = {"ext": {"rerank": {"query_context": {"query_text": query}, "window": window}}}
    status, headers, body = caller.ask(*search(query, **asks))
    hits = json.loads(body)["hits"]["hits"] if status == 200 else []
    said = headers.get("x-rerank-status", ""), headers.get("x-rerank-reason", "")
    return Answer(query, status, *said, tuple(hit["_id"] for hit in hits), time.perf_counter() - started)


def resident(pid: int) -> int:
    """Return the memory of a process and its children, in bytes; pages that they share count for each."""
    with contextlib.suppress(OSError):
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
        return own + sum(resident(int(child)) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return 0


class Judge:
    """Distinguishes right answers from wrong ones."""

    def __init__(self, url: str, window: int) -> None:
        self._caller = Caller(url)
        self._window = window
        self._scorer = load_scorer()

    def verdict(self, answer: Answer) -> str:
        """Classify an answer: applied, partial, first stage, refused; or "wrong: …"."""
        if answer.status == 429:
            return "refused"
        if answer.status != 200:
            return f"wrong: status {answer.status}"
        hits = json.loads(self._caller.ask(*search(answer.query, size=self._window))[2])["hits"]["hits"]
        order = [hit["_id"] for hit in hits]
        if answer.outcome in {"failed", "skipped"}:
            return "first stage" if answer.reason and list(answer.ids) == order[:10] else "wrong: not the first stage"
        passages = [Passage("", hit["_source"]["text"]) for hit in hits]
        scores = [score.value for score in self._scorer.score(answer.query, passages)]
        scored = self._window if answer.outcome == "applied" else int(answer.reason.split()[0])
        expected = sorted(scores[:scored], reverse=True)[:10]
        expected_ids = set(order[:scored]) if scored >= 10 else set(order)
        got = [scores[order.index(one)] for one in answer.ids[:scored]]
        tie = TIE_BFLOAT16 * statistics.pstdev(scores) if "bfloat16" in self._scorer.engine_name else TIE
        right = set(answer.ids) <= expected_ids and all(
            abs(mine - theirs) < tie for mine, theirs in zip(got, expected, strict=False)
        )
        right = right and list(answer.ids[scored:]) == order[scored : scored + len(answer.ids[scored:])]
        return answer.outcome if right else f"wrong: {answer.outcome}"


def summary(kept: Kept, judge: Judge) -> dict[str, Any]:
    """Return counts and figures of one run."""
    verdicts = Counter(judge.verdict(answer) for answer in kept.answers)
    times = [answer.seconds for answer in kept.answers]
    return {
        "answers": len(kept.answers),
        "lost": len(kept.lost),
        "wrong": sum(count for verdict, count in verdicts.items() if verdict.startswith("wrong")),
        "verdicts": dict(verdicts),
        "reasons": dict(Counter(re.sub(r"[\d.]+", "N", answer.reason) for answer in kept.answers if answer.reason)),
        "applied_a_second": verdicts["applied"] / kept.seconds,
        "p50_s": statistics.median(times),
        "p99_s": percentile(times, 0.99),
        "resident_mb": kept.bytes / 1e6,
    }


def main() -> None:
    """Print the three runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://localhost:9200")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--times", type=float, default=2, help="load, as a multiple of the capacity; 0: no pause")
    parser.add_argument("--window", type=int, default=20, help="hits to rerank; 20 take two slow cores about a second")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()

    fill(arguments.url)
    asked, alone = queries(), Load(1, arguments.seconds / 2, arguments.window)
    # The model alone: the judge knows its order from the scores.
    with service(arguments.url, identity=False, fusion="rerank") as (url, process):
        run(url, process.pid, asked, Load(1, 5, arguments.window))
        before = run(url, process.pid, asked, alone)
        applied = sum(answer.outcome == "applied" for answer in before.answers)
        if not applied:
            raise SystemExit("this machine reranks nothing within the budget: give a smaller --window")
        rate = arguments.times * applied / before.seconds
        many = run(url, process.pid, asked, Load(arguments.clients, arguments.seconds, arguments.window, rate))
        after = run(url, process.pid, asked, alone)
        average = os.getloadavg()[0]
    judge = Judge(arguments.url, arguments.window)
    runs = {
        "1 client": summary(before, judge),
        f"{arguments.clients} clients": summary(many, judge),
        "1 client again": summary(after, judge),
    }
    print(json.dumps({**runs, "asked_a_second": rate, "load average": average}, indent=1))  # noqa: T201  it prints
    if arguments.json:
        arguments.json.write_text(json.dumps(runs))
    if any(found["wrong"] or found["lost"] for found in runs.values()):
        raise SystemExit("answers were wrong or lost")


if __name__ == "__main__":
    main()
