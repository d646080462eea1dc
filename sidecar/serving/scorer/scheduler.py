"""Choose the passages to score next: one queue for all callers, a batch at a time. No I/O; the clock is passed in.

A batch holds passages of one model, as many tokens as the device computes in about `slice_seconds` by the measured
speed; fewer if a deadline is near, so that something is scored before it. Small jobs share a batch. A large job is cut
into slices from the front, so the passages scored before its deadline are those that the first stage ranked highest.

The order is, at each batch, of the jobs whose priority number is the lowest:

1. Callers take turns. A caller that got one turn (`TURN` batches' tokens) more than the caller that got the least comes
   after it, however many jobs it has. A new caller starts at the level of the caller that got the least.
2. Then jobs with less work left go before those with more, by factors of four: a request for ten passages does not
   wait for one with a thousand.
3. Of jobs of similar size the earliest deadline goes first, so that under overload as many as possible finish in time;
   if every job shared the device with every other, all of them would be late.

Every `BY_DEADLINE`th batch is ordered by deadlines alone, so that neither many small jobs, nor jobs of another model or
priority, can block a job forever.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

# The batches by which a caller may be ahead of another: about a second, enough for a whole window of usual size.
TURN = 4
BY_DEADLINE = 4
# The fewest and most tokens of a batch. Each call to the device has a fixed cost: with smaller batches a slow machine
# would do little else, and measure as even slower. The maximum limits memory; an engine cuts a batch to the size that
# suits its device.
LEAST_TOKENS = 1024
MOST_TOKENS = 262_144


@dataclass(slots=True)
class Waiting:
    """A job: `total` passages of one caller for one model, of which the first `done` were put into batches.

    `lengths` are the tokens of the passages tokenised so far, from the front. After `deadline` the job is useless.
    `beside` are tokens of the same request that wait as other jobs. A lower `priority` number goes first.
    """

    number: int
    caller: str
    model: str
    total: int
    deadline: float
    priority: int = 0
    lengths: list[int] = field(default_factory=list)
    done: int = 0
    left: int = 0
    beside: int = 0

    @property
    def size(self) -> int:
        """Return the tokens still to be scored; passages not yet tokenised count as the average of the others."""
        unread = self.total - len(self.lengths)
        return self.beside + self.left + unread * sum(self.lengths) // max(1, len(self.lengths))


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch for the device: the numbers of jobs with the positions of their passages."""

    model: str
    parts: tuple[tuple[int, range], ...]
    tokens: int


class Scheduler:
    """The waiting jobs, and the batches made of them. Times are seconds of one clock."""

    def __init__(self, slice_seconds: float, *, least_tokens: int = LEAST_TOKENS) -> None:
        self.slice_seconds = slice_seconds
        self.least_tokens = least_tokens
        self.jobs: dict[int, Waiting] = {}
        self._given: dict[str, int] = {}
        self._speeds: dict[str, float] = {}
        self._batches = 0

    @property
    def ready(self) -> bool:
        """True if a tokenised passage waits for the device."""
        return any(job.done < len(job.lengths) for job in self.jobs.values())

    @property
    def tokens(self) -> int:
        """Return the number of tokens that wait for the device."""
        return sum(job.left for job in self.jobs.values())

    def add(self, job: Waiting) -> None:
        """Queue a job without tokenised passages; a job without passages is not queued."""
        if job.total:
            self._given.setdefault(job.caller, min(self._given.values(), default=0))
            self.jobs[job.number] = job

    def read(self, number: int, lengths: Iterable[int]) -> None:
        """Record that a job's next passages were tokenised, with their lengths; ignored if the job is gone."""
        if (job := self.jobs.get(number)) is not None:
            before = len(job.lengths)
            job.lengths.extend(lengths)
            job.left += sum(job.lengths[before:])

    def drop(self, number: int) -> None:
        """Remove a job if it is still queued."""
        job = self.jobs.pop(number, None)
        if job is not None and all(other.caller != job.caller for other in self.jobs.values()):
            del self._given[job.caller]

    def measured(self, model: str, tokens: int, seconds: float) -> None:
        """Learn a model's speed from a call to the device; a longer call has more weight."""
        if tokens and seconds > 0:
            speed = tokens / seconds
            known = self._speeds.setdefault(model, speed)
            self._speeds[model] = known + min(1.0, seconds / (2 * self.slice_seconds)) * (speed - known)

    def budget(self, model: str, seconds: float | None = None) -> int:
        """Return the tokens of a batch that takes about `seconds` (`slice_seconds`); the minimum if never measured."""
        fitting = self._speeds.get(model, 0.0) * (self.slice_seconds if seconds is None else seconds)
        return max(self.least_tokens, min(int(fitting), MOST_TOKENS))

    def expected(self, model: str, tokens: int) -> float | None:
        """Return the seconds that a batch should take; None if the model's speed was never measured."""
        return tokens / self._speeds[model] if model in self._speeds else None

    def next(
        self, now: float, *, models: Collection[str] | None = None, most_tokens: int = MOST_TOKENS
    ) -> Batch | None:
        """Return the next batch; None if no tokenised passage waits. Jobs past their deadline are removed.

        With `models`, only their jobs are looked at. A batch has more than `most_tokens` only if that is less than the
        fewest of a batch.
        """
        order = self._order(now, models)
        if not order:
            return None
        model = order[0].model
        room = self.budget(model, min(self.slice_seconds, (order[0].deadline - now) / 2))
        room = min(room, max(self.least_tokens, most_tokens))
        parts: list[tuple[int, range]] = []
        tokens = 0
        for job in (job for job in order if job.model == model):
            positions, cost = _fitting(job, room - tokens, at_least=0 if parts else 1)
            if positions:
                parts.append((job.number, positions))
                self._hand_out(job, len(positions), cost)
                tokens += cost
            if job.done < len(job.lengths):
                break
        return Batch(model, tuple(parts), tokens)

    def first(self, now: float) -> Waiting | None:
        """Return the job whose turn it is, as a whole; None if no tokenised job waits."""
        order = self._order(now, None)
        if not order:
            return None
        job = order[0]
        self._hand_out(job, job.total - job.done, job.left)
        return job

    def _order(self, now: float, models: Collection[str] | None) -> list[Waiting]:
        """Remove jobs past their deadline; return those with tokenised passages in the order of their turns."""
        for number in [number for number, job in self.jobs.items() if job.deadline <= now]:
            self.drop(number)
        ready = [job for job in self.jobs.values() if job.done < len(job.lengths)]
        if models is not None:
            ready = [job for job in ready if job.model in models]
        self._batches += bool(ready)
        if self._batches % BY_DEADLINE == 0:
            return sorted(ready, key=lambda job: (job.deadline, job.number))
        least = min(self._given.values(), default=0)

        def place(job: Waiting) -> tuple[int, int, int, float, int]:
            turn = (self._given[job.caller] - least) // (TURN * self.budget(job.model))
            return job.priority, turn, job.size.bit_length() // 2, job.deadline, job.number

        return sorted(ready, key=place)

    def _hand_out(self, job: Waiting, passages: int, tokens: int) -> None:
        job.done += passages
        job.left -= tokens
        self._given[job.caller] += tokens
        if job.done == job.total:
            self.drop(job.number)


def _fitting(job: Waiting, room: int, *, at_least: int) -> tuple[range, int]:
    """Return the positions of a job's next passages that fit into `room` tokens, and their tokens."""
    stop, tokens = job.done, 0
    for length in job.lengths[job.done :]:
        if tokens + length > room and stop - job.done >= at_least:
            break
        stop, tokens = stop + 1, tokens + length
    return range(job.done, stop), tokens
