"""Limits of requests and tokens a minute for each caller, counted by the library `limits` in memory. No I/O."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from sidecar.core.errors import RateLimited

# Callers that are counted each on its own; more than these within a minute share one count, so memory is bounded.
MOST_CALLERS = 10_000
_OTHERS = "others"
# How the identity of a caller with a key of its own begins; its name follows.
CLIENT = "client "


class Unit(StrEnum):
    """A unit that is limited."""

    REQUESTS = "requests"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class Allowance:
    """A caller's limit in a unit: `left` of `most` until `seconds` from now."""

    unit: Unit
    most: int
    left: int
    seconds: int


class RateLimits:
    """Counts in windows of a minute, each of which begins with a caller's first request; None is no limit.

    `on_refusal` is called with the unit of each refusal, and the client's name, "" for a caller without a key of its
    own. Use it in one thread.
    """

    def __init__(
        self, requests: int | None = None, tokens: int | None = None, *, most_callers: int = MOST_CALLERS
    ) -> None:
        given = {Unit.REQUESTS: requests, Unit.TOKENS: tokens}
        self._limits = {
            unit: RateLimitItemPerMinute(most, namespace=unit) for unit, most in given.items() if most is not None
        }
        self._most_counts = most_callers * max(1, len(self._limits))
        self.on_refusal: Callable[[Unit, str], None] = lambda _unit, _caller: None
        if self._limits:  # a storage has a thread that forgets what is over
            self._storage = MemoryStorage()
            self._limiter = FixedWindowRateLimiter(self._storage)

    def take(self, unit: Unit, caller: str, amount: int = 1) -> None:
        """Count an amount. Raises RateLimited, and counts nothing, if the caller has not so much left."""
        limit = self._limits.get(unit)
        if limit is None or not amount:
            return
        name = self._counted_as(limit, caller)
        if amount > limit.amount:
            raise self._refusal(
                unit, caller, f"this takes {amount} {unit}, and {limit.amount} a minute are allowed", None
            )
        if not self._limiter.test(limit, name, cost=amount):
            has = self._allowance(unit, limit, name)
            seconds = max(1, has.seconds)
            message = f"{has.left} of {has.most} {unit} are left in this minute; ask again in {seconds} s"
            raise self._refusal(unit, caller, message, seconds)
        self._limiter.hit(limit, name, cost=amount)

    def _refusal(self, unit: Unit, caller: str, message: str, retry_after: int | None) -> RateLimited:
        """Report a refusal, and return it."""
        self.on_refusal(unit, caller.removeprefix(CLIENT) if caller.startswith(CLIENT) else "")
        return RateLimited(message, retry_after=retry_after)

    def allowances(self, caller: str) -> list[Allowance]:
        """Return what a caller has left in each limited unit."""
        return [self._allowance(unit, limit, self._counted_as(limit, caller)) for unit, limit in self._limits.items()]

    def _allowance(self, unit: Unit, limit: RateLimitItemPerMinute, name: str) -> Allowance:
        found = self._limiter.get_window_stats(limit, name)
        return Allowance(unit, limit.amount, found.remaining, max(0, math.ceil(found.reset_time - time.time())))

    def _counted_as(self, limit: RateLimitItemPerMinute, caller: str) -> str:
        known = self._storage.get(limit.key_for(caller)) > 0
        return caller if known or len(self._storage.expirations) < self._most_counts else _OTHERS
