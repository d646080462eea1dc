"""Every fault of a scorer in front of each arrangement of scorers: one process, several, a remote server.

The promised outcome is written in each cell, as status and reason; a search that is not reranked has the first stage's
order.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.support.servers.hits import by_model
from tests.support.servers.remote_stub import remote_stub
from tests.support.servers.searches import body, ids, outcome
from tests.support.servers.served import served
from tests.support.waiting import until

FIRST_STAGE = [str(i) for i in range(10)]
MODEL_ORDER = by_model()[:10]
PATIENT = {"breaker_failures": 1000, "score_cache": 0}


class Arranged:
    """A service with one kind of scorers; `break_` prepares a fault and returns the query that meets it."""

    def __init__(self, running, server=None):
        self.running = running
        self.server = server

    def search(self, query, milliseconds=10_000):
        return self.running.search("docs", body(query, rerank={"timeout_ms": milliseconds}, size=10))

    def break_(self, fault, number):
        if self.server is not None:
            self.server.faults = [REMOTE[fault]] * 50
        return f"{fault} {number} sleep 20" if fault == "hang" else f"{fault} {number}"

    def mend(self):
        if self.server is not None:
            self.server.faults = []
        until(lambda: outcome(self.search(f"mended {time.monotonic()}")) == ("applied", ""), seconds=20)


REMOTE = {
    "fail": lambda _: (400, {}, b"told to fail"),
    "nan": lambda request: (200, {}, _scores(request, "NaN")),
    "hang": lambda _: time.sleep(1.5),
    "die": lambda _: None,
}


def _scores(request, value):
    entries = ",".join(f'{{"index":{i},"relevance_score":{value}}}' for i in range(len(request["documents"])))
    return f'{{"results":[{entries}]}}'.encode()


@contextmanager
def arranged(kind, upstream):
    if kind == "remote":
        with remote_stub("vllm") as server, served(upstream.url, model=server.url, **PATIENT) as running:
            yield Arranged(running, server)
        return
    devices = {"devices": ("cpu", "cpu")} if kind == "several" else {}
    with served(upstream.url, hang_seconds=1.0, **PATIENT, **devices) as running:
        yield Arranged(running)


@pytest.fixture(scope="module", params=["local", "several", "remote"])
def scorers(request, upstream):
    with arranged(request.param, upstream) as found:
        yield request.param, found


# Fault → arrangement → the start of the reason; the status is `failed` and the order the first stage's.
CELLS = {
    "fail": {"local": "told to fail", "several": "told to fail", "remote": "refuses the request"},
    "nan": {"local": "NaN or infinity", "several": "NaN or infinity", "remote": "NaN or infinity"},
    "hang": {"local": "nothing was scored", "several": "nothing was scored", "remote": "did not answer within"},
    "die": {"local": "ended", "several": "ended", "remote": "can't be reached"},
}


@pytest.mark.parametrize("fault", CELLS)
def test_a_fault_costs_the_order_of_its_search_and_nothing_else(scorers, fault):
    kind, found = scorers
    counted = Counter()
    for number in range(2):
        query = found.break_(fault, number)
        # Only what hangs or is tried again has to wait for its time to end.
        answer = found.search(query, 600 if fault in {"hang", "die"} else 10_000)
        status, reason = outcome(answer)
        assert CELLS[fault][kind] in reason
        assert (answer.status, ids(answer)) == (200, FIRST_STAGE)
        counted[status] += 1
        found.mend()
    assert counted == {"failed": 2}


def test_what_is_too_slow_is_said(scorers):
    kind, found = scorers
    if kind == "remote":
        found.server.seconds = 0.6
    answer = found.search("slow sleep 10", 400)
    if kind == "remote":
        found.server.seconds = 0.0
        assert (outcome(answer)[0], ids(answer)) == ("failed", FIRST_STAGE)
        assert "did not answer within" in outcome(answer)[1]
    else:
        # What was scored in time comes first, and the rest follows.
        assert outcome(answer)[0] == "partial"
        assert outcome(answer)[1].endswith("of 100 passages were scored in time")
    found.mend()


def test_twice_what_can_be_scored_loses_nothing(scorers):
    """Some are told at once, and all are answered: reranked, or in the first stage's order with the reason."""
    kind, found = scorers
    if kind == "remote":
        found.server.seconds = 0.1
    until(lambda: outcome(found.search(f"pace {time.monotonic()} sleep 1"))[0] == "applied", seconds=20)
    with ThreadPoolExecutor(48) as pool:
        answers = list(pool.map(lambda i: found.search(f"many {i} sleep 1", 700), range(96)))
    counted = Counter(outcome(answer)[0] for answer in answers)
    assert sum(counted.values()) == 96
    assert set(counted) <= {"applied", "partial", "failed"}
    for answer in answers:
        status, reason = outcome(answer)
        assert answer.status == 200
        assert status != "applied" or ids(answer) == MODEL_ORDER
        assert status != "failed" or (ids(answer) == FIRST_STAGE and reason)
    assert counted["applied"] > 0
    if kind == "remote":
        found.server.seconds = 0.0
    found.mend()


def test_one_of_several_that_is_gone_for_good_leaves_searches_reranked(upstream):
    """A process that is killed each time it comes back, and a server of two that stays away."""
    with served(upstream.url, devices=("cpu", "cpu"), **PATIENT) as running:
        for number in range(3):
            process = running.running.service.scorers.links[0].members[1].process
            until(lambda process=process: process.ready, seconds=20)
            os.kill(process.pid, signal.SIGKILL)
            until(lambda process=process: not process.ready)
            answers = [running.search("docs", body(f"search {number} {i}")) for i in range(5)]
            assert [(outcome(one), ids(one)) for one in answers] == [(("applied", ""), MODEL_ORDER)] * 5
    with remote_stub("vllm") as one, remote_stub("vllm") as two:
        model = f"{one.url},{two.url}"
        with served(upstream.url, model=model, **PATIENT) as running:
            one.faults = [REMOTE["die"]] * 1000
            answers = [running.search("docs", body(f"search {i}")) for i in range(10)]
            assert [(outcome(answer), ids(answer)) for answer in answers] == [(("applied", ""), MODEL_ORDER)] * 10
