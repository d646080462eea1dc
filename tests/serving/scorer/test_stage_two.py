"""The generator of the service: callers take turns at it."""

from __future__ import annotations

import asyncio

from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.listwise_spec import ListwiseSpec
from sidecar.core.model_spec import Remote
from sidecar.serving.scorer.stage_two import ServiceStageTwo
from sidecar.serving.scorer.terms import Terms
from tests.support.rankings import docids, ranking_of
from tests.support.servers.chat_stub import chat_stub

NUMBERS = [3, 1, 4, 2]
LONG = "{} " + "word " * 300  # about 1700 tokens for the generator


def ranked_order(server, asked, **options):
    """The labels of rankings in the order in which stage two is done with them; each has a label and its terms."""
    remote = Remote(concurrency=options.pop("concurrency", 1), timeout=60.0)
    stage = ServiceStageTwo(
        ListwiseSpec(model=server.url, remote=remote, **options), CircuitBreaker(100, 1.0), slice_seconds=0.001
    )

    async def run():
        order = []

        async def ask(number, label, terms):
            ranking = await stage.reorder(ranking_of(NUMBERS, texts=LONG, query=f"query {number}"), terms)
            assert docids(ranking) == ["d4", "d3", "d2", "d1"]
            order.append(label)

        try:
            await stage.reorder(ranking_of(NUMBERS), Terms(60))  # finds the server
            await asyncio.gather(*(ask(number, *one) for number, one in enumerate(asked)))
        finally:
            await stage.close()
        return order

    return asyncio.run(run())


def test_callers_take_turns_at_the_generator():
    asked = [("greedy", Terms(60, "greedy"))] * 20 + [("modest", Terms(60, "modest"))] * 2
    with chat_stub(seconds=0.01) as server:
        order = ranked_order(server, asked, concurrency=2)
        assert server.most_at_once == 2
    assert max(at for at, caller in enumerate(order) if caller == "modest") < 8
    assert len(order) == 22


def test_a_lower_priority_number_goes_first():
    asked = [(priority, Terms(60, priority=priority)) for priority in (7, 9, 8, 1)]
    with chat_stub(seconds=0.05) as server:
        order = ranked_order(server, asked)
    assert order == [7, 1, 8, 9]
