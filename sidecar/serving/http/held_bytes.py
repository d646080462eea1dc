"""How many bytes of bodies and answers are in memory at a time, and whose."""

from __future__ import annotations

from collections import Counter
from typing import Self

# Of `HeldBytes` where nothing else is said.
MOST = 512 * 1024 * 1024


class HeldBytes:
    """Counts what requests under way hold, up to `most` bytes; one client may hold half of it."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._by_peer: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """Bytes held now."""
        return self._by_peer.total()

    def hold(self, peer: str) -> Hold:
        """Begin to count for one request of a client; a context manager that gives back all of it."""
        return Hold(self, peer)

    def add(self, peer: str, size: int) -> bool:
        """Count bytes of a client, if there is room for them."""
        if self.total + size > self.most or self._by_peer[peer] + size > self.most / 2:
            return False
        self._by_peer[peer] += size
        return True

    def give_back(self, peer: str, size: int) -> None:
        """Count bytes no more."""
        self._by_peer[peer] -= size
        if not self._by_peer[peer]:
            del self._by_peer[peer]


class Hold:
    """The bytes that one request holds."""

    def __init__(self, held: HeldBytes, peer: str) -> None:
        self.size = 0
        self._held = held
        self._peer = peer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shrink(0)

    def take(self, size: int) -> bool:
        """Hold so many bytes more; False where there is no room for them."""
        if not self._held.add(self._peer, size):
            return False
        self.size += size
        return True

    def shrink(self, size: int) -> None:
        """Hold no more than so many bytes."""
        self._held.give_back(self._peer, self.size - size)
        self.size = size
