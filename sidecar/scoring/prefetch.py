"""Reads ahead: while the device is busy with one query, the next ones are tokenised. Knows nothing of models."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")

# Items read beyond the one in hand: one would do if all took alike, two even out long and short ones.
AHEAD = 2


def prefetch(items: Iterable[Item], read: Callable[[Item], Read], *, ahead: int = AHEAD) -> Iterator[tuple[Item, Read]]:
    """Each item with what `read` makes of it, in the order given; `read` runs in a thread, `items` in the caller's.

    At most `ahead` items more than were asked for are taken and kept in memory. What an item raises, or the taking of
    it, is raised in its turn, after all that came before it.
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
                except Exception as error:  # noqa: BLE001  raised when it is its turn
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
