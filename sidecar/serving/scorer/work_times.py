"""When a scorer process worked on a job: reported by the process, placed on the service's clock, told to the trace."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from sidecar.core.trace import tell_stage


@dataclass(frozen=True, slots=True)
class Period:
    """From when until when, by `time.perf_counter`."""

    started: float
    ended: float

    def joined(self, other: Period | None) -> Period:
        """Return the period that covers both."""
        if other is None:
            return self
        return Period(min(self.started, other.started), max(self.ended, other.ended))


@dataclass(slots=True)
class WorkTimes:
    """When a job was tokenised, and when the device computed its `batches`; None as long as it was not."""

    tokenised: Period | None = None
    computed: Period | None = None
    batches: int = 0

    def add_batch(self, seconds: float, tokenised: tuple[float, float] | None) -> None:
        """Add a batch whose scores have just come, and that took the device `seconds`.

        `tokenised` is how long before its begin the tokenising of the job so far began and ended, in seconds.
        """
        ended = perf_counter()
        started = ended - seconds
        read = None if tokenised is None else Period(started - tokenised[0], started - tokenised[1])
        self.add(WorkTimes(read, Period(started, ended), 1))

    def add(self, other: WorkTimes) -> None:
        """Add what another process, or the same one, did for the job."""
        self.tokenised = other.tokenised.joined(self.tokenised) if other.tokenised else self.tokenised
        self.computed = other.computed.joined(self.computed) if other.computed else self.computed
        self.batches += other.batches

    def tell(self, asked: float) -> None:
        """Add the stages to the trace of the request, which came to the queue at `asked`.

        It waits in the queue until the device begins with its first passage, and is tokenised meanwhile.
        """
        tell_stage("queue", asked, perf_counter() if self.computed is None else self.computed.started)
        if self.tokenised is not None:
            tell_stage("tokenise", self.tokenised.started, self.tokenised.ended)
        if self.computed is not None:
            tell_stage("device", self.computed.started, self.computed.ended, {"rerank.batches": self.batches})
