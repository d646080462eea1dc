"""The queue in front of a remote server: callers take turns, whoever left or failed blocks nobody."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.scoring.remote.turns import InOrder, Request
from sidecar.serving.scorer.fair_turns import FairTurns


def wish(caller="", tokens=5000, beside=0, seconds=60.0, priority=0):
    return Request(caller, tokens, beside, asyncio.get_running_loop().time() + seconds, priority)


class Asked:
    """Requests that take turns; `order` holds their names as they begin. Each ends when it is told."""

    def __init__(self, turns):
        self.turns = turns
        self.order = []
        self.ending = {}
        self.tasks = {}

    def ask(self, name, **more):
        self.ending[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._turn(name, wish(**more)))

    async def _turn(self, name, request):
        async with self.turns.turn(request):
            self.order.append(name)
            await self.ending[name].wait()

    async def end(self, name):
        self.ending[name].set()
        await self.tasks[name]
        await settled()


async def settled():
    for _ in range(5):
        await asyncio.sleep(0)


def asked(test, places=1):
    async def run():
        return await test(Asked(FairTurns(places, slice_seconds=0.000_001)))

    return asyncio.run(run())


async def end_all(found):
    while len(found.order) < len(found.tasks):
        await found.end(found.order[-1])
    return found.order


def test_a_callers_many_requests_let_anothers_pass():
    async def test(found):
        for number in range(20):
            found.ask(f"greedy {number}", caller="greedy")
        await settled()
        found.ask("modest", caller="modest")
        await settled()
        return await end_all(found)

    order = asked(test)
    assert order.index("modest") <= 2
    assert sorted(order) == sorted([f"greedy {i}" for i in range(20)] + ["modest"])


def test_so_many_are_sent_at_once_and_no_more():
    async def test(found):
        for number in range(5):
            found.ask(number)
        await settled()
        before = len(found.order)
        await found.end(found.order[0])
        return before, len(found.order)

    assert asked(test, places=3) == (3, 4)


def test_a_small_request_goes_before_a_part_of_a_large_query():
    async def test(found):
        found.ask("running")
        await settled()
        found.ask("part of a thousand", tokens=3000, beside=100_000)
        found.ask("small", tokens=3000)
        await settled()
        return await end_all(found)

    assert asked(test) == ["running", "small", "part of a thousand"]


def test_a_lower_priority_number_goes_first():
    async def test(found):
        found.ask("running")
        await settled()
        found.ask("can wait", priority=5)
        found.ask("urgent", tokens=9000, priority=1)
        await settled()
        return await end_all(found)

    assert asked(test) == ["running", "urgent", "can wait"]


def test_the_earliest_deadline_goes_first_and_what_is_too_late_not_at_all():
    async def test(found):
        found.ask("running")
        await settled()
        found.ask("later", seconds=50)
        found.ask("sooner", seconds=10)
        found.ask("too late", seconds=-1)
        await settled()
        await found.end("running")
        await found.end("sooner")
        await found.end("later")
        found.ask("next")
        await settled()
        return found.order

    assert asked(test) == ["running", "sooner", "later", "next"]


def test_who_leaves_while_waiting_gives_its_turn_to_the_next():
    async def test(found):
        found.ask("running")
        await settled()
        found.ask("leaving", seconds=1)
        found.ask("staying", seconds=2)
        await settled()
        found.tasks["leaving"].cancel()
        found.ending["running"].set()  # in the same turn of the event loop
        await settled()
        return found.order

    assert asked(test) == ["running", "staying"]


def test_who_leaves_with_a_turn_gives_it_back():
    async def test(found):
        found.ask("running")
        await settled()
        found.ask("leaving", seconds=1)
        found.ask("staying", seconds=2)
        await settled()
        found.turns._leave()  # the turn is given, and its task has not run yet
        found.tasks["leaving"].cancel()
        await settled()
        return found.order

    assert asked(test) == ["running", "staying"]


def test_a_request_that_fails_gives_its_turn_back_and_is_not_measured():
    async def test():
        measured = []
        turns = FairTurns(1, lambda *told: measured.append(told))
        for _ in range(3):
            with pytest.raises(ValueError, match="failed"):
                async with turns.turn(wish()):
                    raise ValueError("failed")
        async with turns.turn(wish(tokens=7)):
            pass
        return [tokens for tokens, _ in measured]

    assert asyncio.run(test()) == [7]


def test_elsewhere_whoever_comes_first_is_served_first():
    async def test():
        found = Asked(InOrder(1))
        for number in range(4):
            found.ask(number, caller="greedy")
        found.ask("modest", caller="modest")
        await settled()
        return await end_all(found)

    assert asyncio.run(test()) == [0, 1, 2, 3, "modest"]
