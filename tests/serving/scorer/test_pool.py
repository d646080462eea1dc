"""Several scorer processes behind one queue: one that ends, hangs, fails or is reloaded leaves the others scoring."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from sidecar.core.candidates import Passage, Score
from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.errors import ModelError, ScorerBusy, ScorerEnded, ScorerUnavailable, ScoringError
from sidecar.core.model_spec import ModelSpec
from sidecar.serving.scorer.pool import ScorerPool
from sidecar.serving.scorer.process import ScorerProcess
from sidecar.serving.scorer.terms import Terms
from tests.support.servers.scorers import scored, slow, with_pool
from tests.support.servers.scripted import FAKE

PASSAGES = [Passage("", f"score {i}") for i in range(40)]


async def until(holds):
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  what is waited for is another process
            await asyncio.sleep(0.02)


def up(pool):
    return [one.up for one in pool.processes]


def batches(pool, at):
    return pool.members[at].batches


async def both_busy(pool):
    await until(lambda: all(member.batches for member in pool.members))


def test_one_request_is_scored_by_all_processes():
    async def test(pool):
        devices = set()
        for member in pool.members:
            member.process.on_batch = lambda _, device=member.process.device: devices.add(device)
        return await pool.score("m", "query", slow(40, 5), Terms(20)), devices

    assert with_pool(test) == (scored(*range(40)), {"cuda:0", "cuda:1"})


def test_what_is_scored_in_time_is_kept():
    async def test(pool):
        scores = await pool.score("m", "query", slow(60), Terms(0.5))
        return scores, pool.waiting_passages

    scores, waiting = with_pool(test, slice_seconds=0.08)
    assert 4 <= sum(score is not None for score in scores) < 60
    assert all(score in (None, Score(float(i))) for i, score in enumerate(scores))
    assert waiting == 0


def test_more_than_may_wait_or_can_be_scored_in_time_is_refused_at_once():
    async def test(pool):
        with pytest.raises(ScorerBusy, match="0 passages wait"):
            await pool.score("m", "query", slow(51), Terms(5))
        await pool.score("m", "query", slow(20), Terms(5))
        waiting = asyncio.create_task(pool.score("m", "query", slow(50), Terms(5)))
        await asyncio.sleep(0.05)
        pool.most_waiting = 1000
        started = time.monotonic()
        with pytest.raises(ScorerBusy, match=r"wait to be scored already, 0\.\d s of work"):
            await pool.score("m", "query", slow(50), Terms(0.3))
        seconds = time.monotonic() - started
        return await waiting, seconds

    found, seconds = with_pool(test, most_waiting=50)
    assert found == scored(*range(50))
    assert seconds < 0.2


def test_a_process_that_is_killed_costs_one_batch_and_is_replaced():
    async def test(pool):
        wanted = [pool.score("m", f"q {i}", slow(40, 5, 100 * i), Terms(30)) for i in range(6)]
        running = asyncio.gather(*wanted, return_exceptions=True)
        await both_busy(pool)
        killed = pool.members[1].process
        os.kill(killed.pid, signal.SIGKILL)
        found = await running
        assert pool.ready
        await until(lambda: up(pool) == [True, True])
        after = await asyncio.gather(*(pool.score("m", f"r {i}", slow(40, 5), Terms(30)) for i in range(4)))
        return found, after, pool.restarts, pool.waiting_passages

    found, after, restarts, waiting = with_pool(test, slice_seconds=0.1)
    missing = 0
    for number, scores in enumerate(found):
        if isinstance(scores, ScorerEnded):
            missing += 40
            continue
        assert all(score in (None, Score(100.0 * number + i)) for i, score in enumerate(scores))
        missing += scores.count(None)
    assert 0 < missing <= 40  # of 240
    assert after == [scored(*range(40))] * 4
    assert (restarts, waiting) == (1, 0)


def test_what_waits_behind_the_batch_of_a_killed_process_is_scored_by_another():
    async def test(pool):
        await pool.score("m", "warm", slow(40, 5), Terms(30))
        first = asyncio.create_task(pool.score("m", "first", slow(8, 100), Terms(30)))
        await both_busy(pool)
        second = asyncio.create_task(pool.score("m", "second", slow(8, 1, 50), Terms(30)))
        await until(lambda: len(batches(pool, 1)) == 2)
        os.kill(pool.members[1].process.pid, signal.SIGKILL)
        return await first, await second

    first, second = with_pool(test)
    assert second == scored(*range(50, 58))
    assert 0 < first.count(None) < 8


@pytest.mark.parametrize(("devices", "killed"), [(("cuda:0", "cuda:1"), 1), (("cuda:0", "cuda:1", "cuda:2"), 2)])
def test_a_query_that_kills_processes_does_not_kill_the_last(devices, killed):
    async def test(pool):
        with pytest.raises(ScorerEnded, match="the scorer process ended"):
            await pool.score("m", "die", PASSAGES[:3], Terms(30))
        assert pool.ready
        return await pool.score("m", "query", PASSAGES, Terms(30)), up(pool).count(False)

    assert with_pool(test, devices=devices) == (scored(*range(40)), killed)


def test_if_all_end_every_caller_is_told_at_once():
    async def test(pool):
        wanted = [asyncio.create_task(pool.score("m", f"q {i}", slow(40), Terms(60))) for i in range(8)]
        await both_busy(pool)
        started = time.monotonic()
        for member in pool.members:
            os.kill(member.process.pid, signal.SIGKILL)
        found = await asyncio.gather(*wanted, return_exceptions=True)
        seconds = time.monotonic() - started
        with pytest.raises(ScorerUnavailable):
            await pool.score("m", "query", PASSAGES, Terms(60))
        assert not pool.ready
        await until(lambda: up(pool) == [True, True])
        return found, seconds, await pool.score("m", "query", PASSAGES, Terms(5))

    found, seconds, after = with_pool(test)
    assert all(isinstance(one, ScorerUnavailable) or None in one for one in found)
    assert any(isinstance(one, ScorerUnavailable) for one in found)
    assert seconds < 5
    assert after == scored(*range(40))


def test_a_process_that_hangs_gets_no_more_work_until_it_answers():
    async def test(pool):
        await pool.score("m", "warm", slow(40, 5), Terms(30))
        stopped = pool.members[1].process
        first = asyncio.create_task(pool.score("m", "first", slow(8, 100), Terms(2)))
        await both_busy(pool)
        os.kill(stopped.pid, signal.SIGSTOP)
        second = asyncio.create_task(pool.score("m", "second", slow(8, 5, 50), Terms(30)))
        found = await second
        partial = await first
        await until(lambda: up(pool) == [True, False])
        later = await asyncio.gather(*(pool.score("m", f"q {i}", slow(20, 1), Terms(9)) for i in range(5)))
        os.kill(stopped.pid, signal.SIGCONT)
        await until(lambda: up(pool) == [True, True])
        return found, partial, later, pool.restarts

    found, partial, later, restarts = with_pool(test)
    assert found == scored(*range(50, 58))
    assert partial.count(None) < 8
    assert later == [scored(*range(20))] * 5
    assert restarts == 0


def test_with_three_processes_the_batch_of_one_that_hangs_is_scored_by_another():
    async def test(pool):
        await pool.score("m", "warm", slow(40, 5), Terms(30))
        os.kill(pool.members[2].process.pid, signal.SIGSTOP)
        return await pool.score("m", "query", slow(12, 20), Terms(20))

    assert with_pool(test, devices=("cuda:0", "cuda:1", "cuda:2")) == scored(*range(12))


def test_a_process_that_hangs_for_good_is_replaced():
    async def test(pool):
        found = await pool.score("m", "hang on cuda:1", slow(40, 1), Terms(0.3))
        await until(lambda: pool.restarts == 1)
        await until(lambda: up(pool) == [True, True])
        return found, await pool.score("m", "query", PASSAGES, Terms(5))

    found, after = with_pool(test, hang_seconds=1.0)
    assert all(score in (None, Score(float(i))) for i, score in enumerate(found))
    assert after == scored(*range(40))


def test_what_one_process_fails_at_another_scores_and_the_process_is_replaced():
    async def test(pool):
        failing = pool.members[1].process
        for number in range(20):
            query = f"fail on cuda:1 {number}"
            assert await pool.score("m", query, slow(12, 1), Terms(20)) == scored(*range(12))
            if failing.restarts or not failing.ready:
                break
        await until(lambda: failing.restarts == 1 and failing.ready)
        return [one.why for one in pool.processes], await pool.score("m", "query", PASSAGES, Terms(20))

    whys, found = with_pool(test)
    assert whys == ["", "it failed at what others could score"]
    assert found == scored(*range(40))


@pytest.mark.parametrize(
    ("query", "message"), [("fail", "told to fail"), ("nan", "NaN"), ("unreadable", "not to read")]
)
def test_what_no_process_can_score_is_the_querys_fault(query, message):
    async def test(pool):
        for _ in range(6):
            with pytest.raises(ScoringError, match=message):
                await pool.score("m", query, slow(12, 1), Terms(20))
        return (
            up(pool),
            pool.restarts,
            pool.waiting_passages,
            await pool.score("m", "query", PASSAGES, Terms(20)),
        )

    assert with_pool(test) == ([True, True], 0, 0, scored(*range(40)))


def test_a_caller_that_leaves_takes_its_passages_out_of_the_queue():
    async def test(pool):
        leaving = asyncio.create_task(pool.score("m", "query", slow(40), Terms(60)))
        await both_busy(pool)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        return pool.waiting_passages, await pool.score("m", "query", slow(2, 1), Terms(20))

    assert with_pool(test) == (0, scored(0, 1))


@pytest.fixture
def versioned(tmp_path):
    """A model whose checkpoint is a file with a number, which is added to the scores."""
    file = tmp_path / "model"
    file.write_text("0")
    return file


def test_a_reload_leaves_the_others_scoring_and_no_request_gets_the_scores_of_two_models(versioned):
    async def test(pool):
        found = []

        async def ask():
            while not asked_enough:
                found.append(await pool.score("slow", "query", slow(12, 2), Terms(30)))

        asked_enough = False
        asking = [asyncio.create_task(ask()) for _ in range(4)]
        await asyncio.sleep(0.3)
        versioned.write_text("5000")
        before = pool.identity("slow")
        await pool.reload("slow")
        after = pool.identity("slow")
        asked_enough = True
        await asyncio.gather(*asking)
        return found, before, after, await pool.score("slow", "query", PASSAGES[:2], Terms(5)), up(pool)

    found, before, after, last, ups = with_pool(test, models=("slow",), model_of=lambda _: str(versioned))
    # `Shifted`, which a reload makes, adds 1000.
    old, new = scored(*range(12)), scored(*range(6000, 6012))
    assert all(one in (old, new) for one in found)
    assert old in found
    assert new in found
    assert (before, after) == ("slow Scripted", "slow Shifted 5000")
    assert (last, ups) == (scored(6000, 6001), [True, True])


@pytest.mark.parametrize(
    ("model", "error", "message"), [("broken", ModelError, "damaged"), ("deadly", ScorerUnavailable, "ended")]
)
def test_a_model_that_cant_be_reloaded_stays(model, error, message):
    async def test(pool):
        with pytest.raises(error, match=message):
            await pool.reload(model)
        assert pool.ready
        return await pool.score(model, "query", PASSAGES[:2], Terms(5)), pool.identity(model)

    assert with_pool(test, models=(model,)) == (scored(0, 1), f"{model} Scripted")


def test_a_process_that_can_t_reload_does_not_score_the_model_any_more():
    model = "broken on cuda:1"

    async def test(pool):
        with pytest.raises(ScorerUnavailable, match="reloaded on cuda:0, but not on cuda:1, .* damaged"):
            await pool.reload(model)
        found = await asyncio.gather(*(pool.score(model, f"q {i}", slow(12, 1), Terms(5)) for i in range(5)))
        return found, [one.why for one in pool.processes], await pool.score("m", "query", PASSAGES, Terms(5))

    found, whys, other = with_pool(test, models=(model, "m"))
    assert found == [scored(*range(1000, 1012))] * 5
    assert whys == ["", f"it has another {model} than other processes; reload it"]
    assert other == scored(*range(40))


def test_a_replaced_process_with_new_files_scores_nothing_until_all_have_them(versioned):
    async def test(pool):
        versioned.write_text("7")
        os.kill(pool.members[1].process.pid, signal.SIGKILL)
        await until(lambda: pool.restarts == 1 and pool.members[1].process.ready)
        before = [await pool.score("m", f"q {i}", slow(12, 1), Terms(5)) for i in range(3)]
        whys = [one.why for one in pool.processes]
        await pool.reload("m")
        return before, whys, await pool.score("m", "query", PASSAGES[:2], Terms(5)), up(pool)

    before, whys, after, ups = with_pool(test, model_of=lambda _: str(versioned))
    assert before == [scored(*range(12))] * 3
    assert whys == ["", "it has another m than other processes; reload it"]
    assert (after, ups) == (scored(1007, 1008), [True, True])


def test_a_process_that_cant_load_its_models_ends_the_start():
    async def run():
        processes = [
            ScorerProcess({"m": ModelSpec(model="nosuchthing", device="cpu")}, device=f"cpu {i}") for i in range(2)
        ]
        pool = ScorerPool(processes, lambda: CircuitBreaker(3, 60.0))
        try:
            await pool.start()
        finally:
            await pool.stop()

    with pytest.raises(ModelError, match="On cpu 0: .*nosuchthing"):
        asyncio.run(run())


def test_processes_that_compute_a_model_in_different_ways_end_the_start(tmp_path):
    files = [tmp_path / name for name in "ab"]
    for number, file in enumerate(files):
        file.write_text(str(number))

    async def run():
        processes = [
            ScorerProcess({"m": ModelSpec(model=str(file))}, command=FAKE, device=f"cuda:{number}")
            for number, file in enumerate(files)
        ]
        pool = ScorerPool(processes, lambda: CircuitBreaker(3, 60.0))
        try:
            await pool.start()
        finally:
            await pool.stop()

    with pytest.raises(ModelError, match="cuda:1 computes m in another way than cuda:0"):
        asyncio.run(run())
