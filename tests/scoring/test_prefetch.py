"""Reading ahead: what overlaps, how far, and that nothing changes but the time it takes."""

from __future__ import annotations

import threading
import time

import pytest

from sidecar.scoring.prefetch import AHEAD, prefetch


def test_every_item_comes_with_its_reading_in_order():
    assert list(prefetch(range(50), lambda item: item * 2)) == [(i, i * 2) for i in range(50)]
    assert list(prefetch([], str)) == []


def test_the_next_items_are_read_while_one_is_in_hand_and_no_more():
    read, all_read = [], threading.Event()

    def reading(item):
        read.append(item)
        if item == AHEAD:
            all_read.set()
        return threading.get_ident()

    items = prefetch(iter(range(10)), reading)
    item, thread = next(items)
    assert all_read.wait(10)  # though nobody asked for the next one
    assert (item, read) == (0, list(range(AHEAD + 1)))
    assert thread != threading.get_ident()
    items.close()
    assert len(read) <= AHEAD + 1


def test_items_are_taken_in_the_callers_thread():
    threads = set()

    def items():
        for i in range(5):
            threads.add(threading.get_ident())
            yield i

    list(prefetch(items(), str))
    assert threads == {threading.get_ident()}


def test_what_goes_wrong_is_raised_in_its_turn():
    def items():
        yield from (2, 1, 0, 5)
        raise KeyError("the file is broken here")

    def run(read):
        done = []
        with pytest.raises((ZeroDivisionError, KeyError)) as raised:
            done.extend(item for item, _ in prefetch(items(), read))
        return done, raised.type

    assert run(lambda item: 10 // item) == ([2, 1], ZeroDivisionError)
    assert run(str) == ([2, 1, 0, 5], KeyError)


def test_an_early_end_gives_up_what_is_being_read_and_what_waits():
    given_up, calls = threading.Event(), []

    def stop():
        calls.append(1)
        given_up.set()

    def read(item):
        return item == 0 or given_up.wait(20)

    found = prefetch(range(100), read, ahead=8, workers=2, stop=stop)
    assert next(found) == (0, True)
    started = time.monotonic()
    found.close()
    assert time.monotonic() - started < 5
    assert calls


def test_several_workers_keep_the_order():
    together = threading.Barrier(3)
    found = prefetch(range(9), lambda item: (together.wait(20), item)[1], ahead=5, workers=3)
    assert list(found) == [(item, item) for item in range(9)]
