"""Callers share a scorer, whether it is one process or several: each gets its own scores, and its turn."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.core.candidates import Passage
from sidecar.serving.scorer.terms import Terms
from tests.support.servers.scorers import scored, slow, with_client, with_pool


@pytest.fixture(params=[with_client, with_pool], ids=["one process", "several processes"])
def with_scorer(request):
    return request.param


def test_many_callers_get_their_own_scores(with_scorer):
    async def test(scorer):
        lists = [[Passage("", f"score {i * 100 + j}") for j in range(1 + i * 7 % 40)] for i in range(30)]
        found = await asyncio.gather(*(scorer.score("m", "query", one, Terms(20)) for one in lists))
        return found, await scorer.score("m", "query", [], Terms(1)), scorer.waiting_passages, scorer.queued_tokens

    found, nothing, waiting, tokens = with_scorer(test)
    assert found == [scored(*range(i * 100, i * 100 + 1 + i * 7 % 40)) for i in range(30)]
    assert (nothing, waiting, tokens) == ([], 0, 0)


def test_a_callers_many_requests_leave_room_for_anothers(with_scorer):
    async def test(scorer):
        order = []

        async def ask(caller, number):
            await scorer.score("m", f"{caller} {number}", slow(20, 5), Terms(60, caller=caller))
            order.append(caller)

        await asyncio.gather(*(ask("greedy", i) for i in range(20)), *(ask("modest", i) for i in range(2)))
        return order

    order = with_scorer(test, slice_seconds=0.1)
    assert order.index("modest") < 12
    assert len(order) == 22
