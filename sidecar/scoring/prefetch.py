"""Tokenise the next queries while the device is busy with one. Knows nothing of models."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")

# Items read in advance: one would do if all took equally long, two even out long and short ones.
AHEAD = 2


def prefetch(items: Iterable[Item], read: Callable[[Item], Read], *, ahead: int = AHEAD) -> Iterator[tuple[Item, Read]]:
    """Yield each item with the result of `read`, in order; `read` runs in a thread, `items` in the caller's thread.

    At most `ahead` items more than were asked for are taken and kept in memory. An error of an item, or of taking it,
    is raised in its turn, after the results of all items before it.
    """
    source, failure, more = iter(items), None, True
    waiting: deque[tuple[Item, Future[Read]]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
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
            item, reading = waiting.popleft()
            yield item, reading.result()
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(cancel_futures=True)
