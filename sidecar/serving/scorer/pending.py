"""A job that a scorer process is working on, as the service sees it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sidecar.core.candidates import Score
from sidecar.serving.scorer.work_times import WorkTimes


@dataclass(slots=True)
class PendingJob:
    """The scores of a job so far, None where there are none; `missing` of them are yet to come.

    `tokens` estimates those of each passage. `times` says when the process worked on it. `done` is set when nothing is
    missing, or with the `failure`.
    """

    model: str
    caller: str
    tokens: list[int]
    scores: list[Score | None]
    done: asyncio.Event = field(default_factory=asyncio.Event)
    missing: int = 0
    failure: Exception | None = None
    times: WorkTimes = field(default_factory=WorkTimes)
