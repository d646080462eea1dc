"""A member of the pool: a scorer process, the batches that it has to do, and whether it may get more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.serving.scorer.pooled_job import Portion
from sidecar.serving.scorer.process import ScorerProcess

# A process computes one batch while it tokenises the next.
DEPTH = 2
# A process that owes an answer for longer than a second, and four times longer than expected, is silent.
LEAST_PATIENCE, PATIENCE = 1.0, 4.0


@dataclass(eq=False, slots=True)
class SentBatch:
    """Portions that were sent to a process together, with their tasks; `tokens` estimates all of them.

    `computing` is True if the process works on it as far as is known, and not on an earlier one.
    """

    sent_at: float
    tokens: int
    computing: bool
    portions: dict[Portion, asyncio.Task[None]] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class PoolMember:
    """A scorer process and the batches that it has, the oldest first. Times are those of `time.monotonic`.

    While a model is in `reloading`, the process gets no work for it.
    """

    process: ScorerProcess
    breaker: CircuitBreaker
    batches: list[SentBatch] = field(default_factory=list)
    reloading: set[str] = field(default_factory=set)
    _asked_at: float = 0.0
    _patience: float = 0.0

    def key(self, model: str) -> str | None:
        """Return the name of a model with its identity in this process; None if it does not score it."""
        if not self.process.ready or model not in self.process.loaded:
            return None
        return f"{model}\0{self.process.loaded[model].identity}"

    def served(self) -> set[str]:
        """Return the keys of the models that the process may be asked for now."""
        return {key for model in self.process.models if model not in self.reloading and (key := self.key(model))}

    def has(self, key: str | None) -> bool:
        """True if the process scores this very model."""
        return key is not None and self.key(key.partition("\0")[0]) == key

    def free(self, now: float) -> bool:
        """True if it may get another batch."""
        usable = self.process.ready and len(self.batches) < DEPTH and not self.silent(now)
        return usable and self.breaker.allows(now)

    def silent(self, now: float) -> bool:
        """True if it owes an answer, and has sent nothing for too long."""
        return self._owes and now - max(self._asked_at, self.process.heard_at) > self._patience

    def left_alone(self, now: float) -> bool:
        """True if it gets no work for now, however little it has to do."""
        return self.breaker.open or self.silent(now)

    @property
    def tokens(self) -> int:
        """Return the estimated tokens that it has to do."""
        return sum(batch.tokens for batch in self.batches)

    def begin(self, batch: SentBatch, *, expected: float | None) -> None:
        """Note that a batch is sent, which should take `expected` seconds; None if that is not known."""
        if not self._owes:
            self._asked_at = batch.sent_at
            self._patience = 0.0
        known = self.process.hang_seconds if expected is None else PATIENCE * expected
        self._patience = max(self._patience, LEAST_PATIENCE, known)
        self.batches.append(batch)

    def finish(self, batch: SentBatch, *, done: bool) -> None:
        """Forget a batch without portions; if the process is done with it, and lives, it goes on with the next one."""
        self.batches.remove(batch)
        if done and self.batches and self.process.ready:
            self.batches[0].computing = True

    @property
    def _owes(self) -> bool:
        return bool(self.batches) or self.process.heard_at < self._asked_at
