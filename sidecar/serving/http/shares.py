"""Limit how much of a shared resource one name may have at a time."""

from __future__ import annotations

import asyncio


class Shares:
    """Lets each name have `most` of a resource at a time; further requests of that name wait for their turn."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken: dict[str, tuple[asyncio.Semaphore, int]] = {}

    async def take(self, name: str) -> None:
        """Wait until the name may have one more."""
        turns, users = self._taken.get(name) or (asyncio.Semaphore(self.most), 0)
        self._taken[name] = (turns, users + 1)
        try:
            await turns.acquire()
        except BaseException:
            self._leave(name)
            raise

    def give_back(self, name: str) -> None:
        """Return one."""
        self._taken[name][0].release()
        self._leave(name)

    def _leave(self, name: str) -> None:
        turns, users = self._taken.pop(name)
        if users > 1:
            self._taken[name] = (turns, users - 1)
