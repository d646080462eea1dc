"""Count the bytes of bodies and answers in memory, in total and by client."""

from __future__ import annotations

from collections import Counter
from typing import Self

# The default of `HeldBytes`.
MOST = 512 * 1024 * 1024


class HeldBytes:
    """Counts the bytes that requests in progress hold, up to `most`; one client may hold half of it."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._by_peer: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """Return the bytes held now."""
        return self._by_peer.total()

    def hold(self, peer: str) -> Hold:
        """Start to count for one request of a client; the context manager returned gives back all of it."""
        return Hold(self, peer)

    def add(self, peer: str, size: int) -> bool:
        """Count bytes of a client, if the limits allow it."""
        if self.total + size > self.most or self._by_peer[peer] + size > self.most / 2:
            return False
        self._by_peer[peer] += size
        return True

    def give_back(self, peer: str, size: int) -> None:
        """Stop counting bytes."""
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
        """Hold so many bytes more; False if the limits do not allow it."""
        if not self._held.add(self._peer, size):
            return False
        self.size += size
        return True

    def shrink(self, size: int) -> None:
        """Hold no more than so many bytes."""
        self._held.give_back(self._peer, self.size - size)
        self.size = size
