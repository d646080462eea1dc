"""The benchmark under Poisson load: waits count from a request's arrival, and failures are counted apart."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from itertools import islice, pairwise

import pytest
from aiohttp import web

from benchmarks.poisson import Measured, arrivals, block, bodies, row


@pytest.fixture
def served():
    """Run a coroutine on a server that answers one request at a time, each in 50 ms; every fifth is refused."""

    def run(asking):
        async def both():
            turn, asked = asyncio.Lock(), []

            async def answer(request):
                asked.append(await request.json())
                if len(asked) % 5 == 0:
                    return web.Response(status=429)
                async with turn:
                    await asyncio.sleep(0.05)
                return web.json_response({"results": []})

            app = web.Application()
            app.router.add_post("/rerank", answer)
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            try:
                await asking(f"http://127.0.0.1:{port}/rerank")
            finally:
                await runner.cleanup()
            return asked

        return asyncio.run(both())

    return run


def test_arrivals_are_those_of_a_poisson_process():
    times = arrivals(5.0, 20_000, random.Random(1))
    gaps = [after - before for before, after in pairwise(times)]
    assert min(gaps) > 0
    assert sum(gaps) / len(gaps) == pytest.approx(0.2, rel=0.03)
    # Of exponential gaps a share of 1 − 1/e is shorter than the mean.
    assert sum(gap < 0.2 for gap in gaps) / len(gaps) == pytest.approx(0.632, abs=0.02)


def test_waiting_counts_from_the_arrival_and_a_refusal_is_no_answer(served):
    measured = Measured()
    # All ten arrive at about the same time, and eight of them are answered one after the other.
    asked = served(lambda url: block(url, list(islice(bodies(3, 10, "texts", "m"), 10)), 10_000, 1, measured))
    assert measured.failures == Counter({"HTTP 429": 2})
    assert len(measured.milliseconds) == 8
    assert max(measured.milliseconds) >= 8 * 50
    assert [len(one["texts"]) for one in asked] == [3] * 10
    assert {one["model"] for one in asked} == {"m"}
    assert len({text for one in asked for text in one["texts"]}) == 30
    assert row("ours", measured).startswith("| ours | 8 | 2 × HTTP 429 | ")


def test_a_server_that_does_not_answer_is_told():
    measured = Measured()
    asyncio.run(block("http://127.0.0.1:9/rerank", [{}], 1000, 1, measured))
    assert measured.failures == Counter({"ClientConnectorError": 1})
    assert row("gone", measured) == "| gone | 0 | 1 × ClientConnectorError | | | | |"
