"""The scorer in its own process: what is asked comes back, and every way it can go wrong ends in a known outcome."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sidecar.core.candidates import Passage
from sidecar.core.errors import ModelError, ScorerUnavailable, ScoringError
from sidecar.core.model_spec import ModelSpec
from sidecar.serving.scorer.client import ScorerClient
from sidecar.serving.scorer.terms import Terms
from tests.support.servers.scorers import scored, with_client
from tests.support.servers.scripted import FAKE

PASSAGES = [Passage("", f"score {i}") for i in range(40)]


def test_scores_come_back_in_the_order_given():
    async def test(scorer):
        return await scorer.score("m", "query", PASSAGES, Terms(5)), await scorer.score("m", "query", [], Terms(5))

    assert with_client(test) == (scored(*range(40)), [])


def test_what_is_scored_in_time_is_kept_and_is_what_came_first():
    async def test(scorer):
        slow = [Passage("", f"score {i} sleep 20") for i in range(40)]
        started = time.monotonic()
        scores = await scorer.score("m", "query", slow, Terms(0.5))
        return scores, time.monotonic() - started, scorer.waiting_passages

    scores, seconds, waiting = with_client(test, slice_seconds=0.08)
    count = sum(score is not None for score in scores)
    assert scores == [*scored(*range(count)), *[None] * (40 - count)]
    assert 4 <= count < 40
    assert (seconds < 1.5, waiting) == (True, 0)


def test_small_requests_share_a_call_to_the_device_and_a_large_one_does_not_hold_them_up():
    async def test(scorer):
        batches = []
        scorer.on_batch = batches.append
        large = asyncio.create_task(
            scorer.score("m", "large", [Passage("", f"score {i} sleep 2") for i in range(1000)], Terms(20))
        )
        await asyncio.sleep(0.3)
        small = [[Passage("", f"score {i} sleep 1")] * 3 for i in range(20)]
        found = await asyncio.gather(*(scorer.score("m", "small", one, Terms(10)) for one in small))
        large_was_done = large.done()
        return batches, found, large_was_done, await large

    batches, found, large_was_done, large = with_client(test, slice_seconds=0.1)
    assert found == [scored(i, i, i) for i in range(20)]
    assert (large_was_done, large) == (False, scored(*range(1000)))
    together = max(batches, key=lambda batch: len(batch.slices))
    assert len(together.slices) >= 15
    # The least at first, then as the device turns out to be: 16 tokens in a millisecond.
    assert batches[0].tokens == 1024
    assert all(batch.tokens <= 1600 for batch in batches)
    assert all(batch.seconds >= batch.tokens / 16_000 for batch in batches)


def test_one_jobs_failure_is_not_that_of_jobs_it_shares_a_call_with():
    async def test(scorer):
        wanted = [scorer.score("m", query, PASSAGES[:3], Terms(5)) for query in ("a", "fail", "b", "nan", "c")]
        return await asyncio.gather(*wanted, return_exceptions=True)

    a, fail, b, nan, c = with_client(test)
    assert a == b == c == scored(0, 1, 2)
    assert ("told to fail" in str(fail), "NaN" in str(nan)) == (True, True)


@pytest.mark.parametrize(
    ("query", "message"),
    [("fail", "told to fail"), ("nan", "NaN or infinity"), ("unreadable", "told not to read")],
)
def test_one_jobs_failure_is_that_jobs(query, message):
    async def test(scorer):
        with pytest.raises(ScoringError, match=message):
            await scorer.score("m", query, PASSAGES, Terms(5))
        return await scorer.score("m", "query", PASSAGES[:2], Terms(5))

    assert with_client(test) == scored(0, 1)


async def until(holds):
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  what is waited for is another process
            await asyncio.sleep(0.05)


def test_a_scorer_that_dies_fails_its_callers_at_once_and_is_replaced():
    async def test(scorer):
        before = scorer.pid
        with pytest.raises(ScorerUnavailable, match="ended"):
            await scorer.score("m", "die", PASSAGES, Terms(60))
        assert not scorer.ready
        with pytest.raises(ScorerUnavailable):
            await scorer.score("m", "query", PASSAGES, Terms(60))
        await until(lambda: scorer.ready)
        assert (scorer.pid != before, scorer.restarts) == (True, 1)
        return await scorer.score("m", "query", PASSAGES[:2], Terms(5))

    assert with_client(test) == scored(0, 1)


def test_a_scorer_that_hangs_is_killed_and_replaced_though_its_callers_left():
    async def test(scorer):
        before = scorer.pid
        assert await scorer.score("m", "hang", PASSAGES, Terms(0.2)) == [None] * 40
        await until(lambda: scorer.restarts == 1)
        await until(lambda: scorer.ready)
        assert scorer.pid != before
        return await scorer.score("m", "query", PASSAGES[:2], Terms(5))

    assert with_client(test, hang_seconds=1.0) == scored(0, 1)


def test_a_scorer_that_was_ready_at_once_does_not_owe_what_the_one_before_did():
    """Between two looks at the old one the new one has taken its place."""

    async def test(scorer):
        await until(lambda: scorer.ready)
        before = scorer.pid
        scorer._pinged_at = time.monotonic() - 1000
        os.kill(before, signal.SIGKILL)
        await until(lambda: scorer.restarts == 1)
        await until(lambda: scorer.ready)
        after = scorer.pid
        await asyncio.sleep(2.5)  # of which it is looked at every second
        return before, after, scorer.pid, scorer.restarts

    before, after, later, restarts = with_client(test, hang_seconds=40.0)
    assert before != after
    assert (later, restarts) == (after, 1)


PARENT = """
import asyncio, json, sys
from sidecar.core.model_spec import ModelSpec
from sidecar.serving.scorer.client import ScorerClient

async def run():
    scorer = ScorerClient({"m": ModelSpec(model="m")}, command=json.loads(sys.argv[1]))
    await scorer.start()
    print(scorer.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(run())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing ends a stopped process with its parent")
def test_a_stopped_scorer_ends_with_its_killed_parent():
    words = [sys.executable, "-c", PARENT, json.dumps(FAKE)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as parent:
        pid = int(parent.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        parent.kill()
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_more_than_may_wait_is_refused():
    async def test(scorer):
        with pytest.raises(ScorerUnavailable, match="0 passages wait"):
            await scorer.score("m", "query", PASSAGES, Terms(5))
        return await scorer.score("m", "query", PASSAGES[:30], Terms(5))

    assert with_client(test, most_waiting=30) == scored(*range(30))


def test_a_model_that_cant_be_loaded_is_said():
    async def run():
        await ScorerClient({"m": ModelSpec(model="nosuchthing")}).start()

    with pytest.raises(ModelError, match="nosuchthing"):
        asyncio.run(run())


def test_a_process_that_ends_before_it_can_score_is_said():
    async def run():
        await ScorerClient({"m": ModelSpec(model="m")}, command=(sys.executable, "-c", "pass")).start()

    with pytest.raises(ModelError, match="ended before it could score"):
        asyncio.run(run())


def test_nothing_is_left_behind():
    async def test(scorer):
        return scorer.pid

    pid = with_client(test)
    assert not Path(f"/proc/{pid}").exists()


def test_a_model_is_loaded_anew_while_the_one_before_scores():
    async def test(scorer):
        slow = asyncio.create_task(scorer.score("slow", "query sleep 20", PASSAGES, Terms(20)))
        await asyncio.sleep(0.1)
        reload = asyncio.create_task(scorer.reload("slow"))
        await asyncio.sleep(0.3)
        during = await scorer.score("slow", "query", PASSAGES[:2], Terms(5))
        assert not reload.done()
        await reload
        after = await scorer.score("slow", "query", PASSAGES[:2], Terms(5))
        return await slow, during, after, {name: scorer.identity(name) for name in scorer.models}

    before, during, after, identities = with_client(test, models=("m", "slow"))
    assert (before, during) == (scored(*range(40)), scored(0, 1))
    assert after == scored(1000, 1001)
    assert identities == {"m": "m Scripted", "slow": "slow Shifted"}


def test_what_was_asked_of_the_model_before_is_scored_by_it():
    async def test(scorer):
        wanted = asyncio.create_task(scorer.score("m", "query sleep 40", PASSAGES, Terms(20)))
        await asyncio.sleep(0.2)
        await scorer.reload("m")
        later = await asyncio.gather(*(scorer.score("m", "query", PASSAGES[:1], Terms(20)) for _ in range(3)))
        return await wanted, later

    before, later = with_client(test, slice_seconds=0.1)
    assert before == scored(*range(40))
    assert later == [scored(1000)] * 3


@pytest.mark.parametrize(
    ("model", "error", "message"), [("broken", ModelError, "damaged"), ("deadly", ScorerUnavailable, "ended")]
)
def test_a_model_that_cant_be_loaded_anew_stays(model, error, message):
    async def test(scorer):
        with pytest.raises(error, match=message):
            await scorer.reload(model)
        while not scorer.ready:  # noqa: ASYNC110  the process is another one
            await asyncio.sleep(0.05)
        return await scorer.score(model, "query", PASSAGES[:2], Terms(5))

    assert with_client(test, models=(model,)) == scored(0, 1)
