"""Which passages to score next: earliest deadline first, a slice at a time. Pure; the clock is passed in.

Slices keep a job of a thousand passages from blocking one of ten, and let a job that runs out of time keep what was
scored of it, which is its first passages: those the first stage ranked highest.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Waiting:
    """A job in the queue: `total` passages, of which the first `done` are scored; it is of use until `deadline`."""

    number: int
    total: int
    deadline: float
    done: int = 0


@dataclass(slots=True)
class SliceQueue:
    """Jobs that wait, and the order in which their slices go to the device. Times are seconds of one clock."""

    slice_size: int
    jobs: dict[int, Waiting] = field(default_factory=dict)

    def add(self, job: Waiting) -> None:
        """Queue a job; one without passages never becomes due."""
        if job.total:
            self.jobs[job.number] = job

    def drop(self, number: int) -> None:
        """Forget a job, if it is still there."""
        self.jobs.pop(number, None)

    def next(self, now: float) -> tuple[int, range] | None:
        """Take the next slice: the job's number and the positions of its passages; None if nothing is due.

        Of jobs with one deadline the one queued first goes first. Jobs past their deadline are forgotten.
        """
        for number in [number for number, job in self.jobs.items() if job.deadline <= now]:
            del self.jobs[number]
        if not self.jobs:
            return None
        job = min(self.jobs.values(), key=lambda waiting: waiting.deadline)
        positions = range(job.done, min(job.done + self.slice_size, job.total))
        job.done = positions.stop
        if job.done == job.total:
            del self.jobs[job.number]
        return job.number, positions
