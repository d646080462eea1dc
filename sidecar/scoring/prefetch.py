"""Tokenise the next queries while the device is busy with one. Knows nothing of models."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")

# Items read in advance: one would do if all took equally long, two even out long and short ones.
AHEAD = 2


def prefetch(
    items: Iterable[Item],
    read: Callable[[Item], Read],
    *,
    ahead: int = AHEAD,
    workers: int = 1,
    stop: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Item, Read]]:
    """Yield each item with the result of `read`, in order.

    `read` runs in a thread, or in as many as there are `workers`; `items` is iterated in the caller's thread. `stop` is
    called at the end, until no reading is left that nobody waits for any more.

    At most `ahead` items more than were asked for are taken and kept in memory. An error of an item, or of taking it,
    is raised in its turn, after the results of all items before it.
    """
    source, failure, more = iter(items), None, True
    waiting: deque[tuple[Item, Future[Read]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="read-ahead")
    try:
        while True:
            while more and len(waiting) <= ahead:
                try:
                    item = next(source)
                except StopIteration:
                    more = False
                except Exception as error:  # noqa: BLE001  raised in its turn
                    more, failure = False, error
                else:
                    waiting.append((item, pool.submit(read, item)))
            if not waiting:
                break
            item, reading = waiting[0]
            result = reading.result()
            waiting.popleft()
            yield item, result
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        # Again and again: a reading may have begun since the last call.
        while running := [reading for _, reading in waiting if not reading.done()]:
            stop()
            wait(running, timeout=0.05)
