"""Several scorer processes behind one queue: callers take turns, and each process gets its next batch when it is free.

A job is divided into portions, so that a single request uses all processes. If one of them ends or hangs, the others
go on. It is asynchronous and loads no torch.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from sidecar.core.candidates import Passage, Score
from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.errors import ScorerUnavailable
from sidecar.core.model_spec import ModelSpec
from sidecar.core.token_guess import guess_tokens
from sidecar.serving.scorer.admission import Admission
from sidecar.serving.scorer.pool_member import PoolMember
from sidecar.serving.scorer.pool_models import most_common_key, reload_all, start_all, why_idle
from sidecar.serving.scorer.pool_work import PoolWork
from sidecar.serving.scorer.pooled_job import PooledJob, Portion
from sidecar.serving.scorer.process import ScorerProcess
from sidecar.serving.scorer.process_state import ProcessState
from sidecar.serving.scorer.protocol import BatchReport, LoadedModel
from sidecar.serving.scorer.scheduler import Scheduler, Waiting
from sidecar.serving.scorer.terms import Terms

# Seconds between two looks at whether a process has become silent.
WATCH_SECONDS = 0.25


class ScorerPool:
    """Scorer processes that share the requests for their models; a `ScorerLink`.

    At most `most_waiting` passages wait at once. A batch should take about `slice_seconds`. `breaker` makes the circuit
    breaker of a process, which gets no work after it failed repeatedly at what others could score.
    """

    def __init__(
        self,
        processes: Sequence[ScorerProcess],
        breaker: Callable[[], CircuitBreaker],
        *,
        slice_seconds: float = 0.25,
        most_waiting: int = 20_000,
    ) -> None:
        self.most_waiting = most_waiting
        self.waiting_passages = 0
        self.models: dict[str, ModelSpec] = {}
        for process in processes:
            self.models |= process.models
            process.on_change = self._settle
        self._admission = Admission()
        self._queue = Scheduler(slice_seconds)
        self._waiting: dict[int, Portion] = {}
        self._numbers = 0
        self._jobs: set[PooledJob] = set()
        self._members = [PoolMember(process, breaker()) for process in processes]
        for member in self._members:
            member.process.on_pace = partial(self._measured, member)
        self._work = PoolWork(self._members, self._scored, self._settle)
        self._reloading = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        self._dispatching = False

    @property
    def members(self) -> Sequence[PoolMember]:
        """Return the processes with their work."""
        return self._members

    @property
    def loaded(self) -> Mapping[str, LoadedModel]:
        """Return the models that most processes have; of several with one name, those of the first process."""
        having = {
            model: next((member for member in self._members if member.has(self.key(model))), None)
            for model in self.models
        }
        return {model: member.process.loaded[model] for model, member in having.items() if member is not None}

    def key(self, model: str) -> str | None:
        """Return the name of a model with the identity that most processes have; None if none scores it."""
        return most_common_key(self._members, model)

    def identity(self, model: str) -> str | None:
        """Return what distinguishes a model from others of its name; None while no process has it."""
        key = self.key(model)
        return None if key is None else key.partition("\0")[2]

    @property
    def ready(self) -> bool:
        """True if a process is there for each model."""
        return not self.why_not_ready

    @property
    def why_not_ready(self) -> str:
        """Return the reasons why models are not scored; empty if all are."""
        return "; ".join(dict.fromkeys(why for model in self.models if (why := self.why_not(model))))

    def why_not(self, model: str) -> str:
        """Return the reason why no process scores a model; empty if one does."""
        if self.key(model) is not None:
            return ""
        reasons = {member.process.why_not_ready: None for member in self._members if model in member.process.models}
        return "; ".join(reasons)

    @property
    def processes(self) -> list[ProcessState]:
        """Return the state of each process."""
        return [
            ProcessState(member.process.device, why_idle(member, self._members), member.process.restarts)
            for member in self._members
        ]

    @property
    def queued_tokens(self) -> int:
        """Return the tokens that wait, here and in the processes."""
        return self._queue.tokens + sum(member.process.queued_tokens for member in self._members)

    @property
    def restarts(self) -> int:
        """Return how often a process was replaced."""
        return sum(member.process.restarts for member in self._members)

    @property
    def scored_at(self) -> float:
        """Return when the last scores came, by `time.monotonic`."""
        return max(member.process.scored_at for member in self._members)

    @property
    def batch_seconds(self) -> float:
        """Return how long the slowest device took for its last scores."""
        return max(member.process.batch_seconds for member in self._members)

    @property
    def on_batch(self) -> Callable[[BatchReport], None]:
        """The function that is called with every batch of every process."""
        return self._members[0].process.on_batch

    @on_batch.setter
    def on_batch(self, call: Callable[[BatchReport], None]) -> None:
        for member in self._members:
            member.process.on_batch = call

    async def start(self) -> None:
        """Start all processes. Raises `ModelError` if one can't load its models, or has other ones than the rest."""
        await start_all([member.process for member in self._members])
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End all processes; requests that still wait raise `ScorerUnavailable`."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await asyncio.gather(*(member.process.stop() for member in self._members))

    async def reload(self, model: str) -> None:
        """Read a model's files again in one process after the other, while the others score.

        Raises what `ScorerProcess.reload` raises, and `ScorerUnavailable` if only some have the new model now.
        """
        async with self._reloading:
            await reload_all(self._members, model, idle=self._idle, dispatch=self._dispatch_soon)

    async def score(self, model: str, query: str, passages: Sequence[Passage], terms: Terms) -> list[Score | None]:
        """Score passages, in the order given; None for those that were not scored in time.

        Passages whose process ended have no score either; if none has one, `ScorerEnded` is raised. Raises
        `ScorerUnavailable` if no process has the model, or too much waits already; `ScoringError` if the model failed.
        """
        if not passages:
            return []
        tokens = guess_tokens((terms.how.instruction or "") + query, passages)
        key = self._admitted(model, tokens, terms)
        deadline, asked = time.monotonic() + terms.seconds, time.perf_counter()
        job = PooledJob(key, model, query, passages, tokens, deadline, terms)
        with self._queued(job), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(terms.seconds):
                await job.done.wait()
        job.times.tell(asked)
        if job.refused is not None:
            raise job.refused
        if job.lost is not None and all(score is None for score in job.scores):
            raise job.lost
        return job.scores

    def _admitted(self, model: str, tokens: Sequence[int], terms: Terms) -> str:
        """Return the key of the model that will score. Raises `ScorerUnavailable` if it can't, or not in time."""
        key, now = self.key(model), time.monotonic()
        if key is None:
            raise ScorerUnavailable(self.why_not(model))
        able = [member for member in self._members if member.has(key)]
        answering = [member for member in able if not member.silent(now)]
        if not answering:
            raise ScorerUnavailable("no scorer process has given a sign of life for a while")
        state = {"waiting": self.waiting_passages, "most": self.most_waiting, "scorers": len(answering)}
        self._admission.check(key, terms.caller, tokens, seconds=terms.seconds, **state)
        return key

    @contextlib.contextmanager
    def _queued(self, job: PooledJob) -> Iterator[None]:
        """Keep a job in the queue during the block; what is not scored at its end is dropped."""
        self._jobs.add(job)
        self._count(job, range(len(job.passages)), 1)
        self._numbers += 1
        self._waiting[self._numbers] = Portion(job, range(len(job.passages)))
        self._queue.add(
            Waiting(self._numbers, job.terms.caller, job.key, len(job.passages), job.deadline, job.terms.priority)
        )
        self._queue.read(self._numbers, job.tokens)
        number = self._numbers
        self._dispatch_soon()
        try:
            yield
        finally:
            job.done.set()
            self._jobs.discard(job)
            self._queue.drop(number)
            self._waiting.pop(number, None)
            self._work.take_back(job)
            self._count(job, job.open_positions(), -1)

    def _count(self, job: PooledJob, positions: Sequence[int], sign: int) -> None:
        self.waiting_passages += sign * len(positions)
        self._admission.add(job.key, job.terms.caller, sign * sum(job.tokens[at] for at in positions))

    def _scored(self, job: PooledJob, positions: Sequence[int]) -> None:
        """Count passages that got their score, or were given up."""
        self._count(job, positions, -1)

    def _measured(self, member: PoolMember, model: str, tokens: int, seconds: float) -> None:
        """Learn the pace of one process."""
        if (key := member.key(model)) is not None:
            self._queue.measured(key, tokens, seconds)
            self._admission.measured(key, tokens, seconds)

    def _dispatch_soon(self) -> None:
        """Give free processes their next batches, after all that arrives in this turn of the event loop."""
        if not self._dispatching:
            self._dispatching = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatching = False
        while any(self._fill(member) for member in sorted(self._members, key=lambda member: len(member.batches))):
            pass

    def _fill(self, member: PoolMember) -> bool:
        """Send a process its next batch, if it is free and something waits for it; True if it was sent one."""
        now = time.monotonic()
        keys = member.served()
        if not any(job.model in keys for job in self._queue.jobs.values()) or not member.free(now):
            return False
        # What waits is shared by all, so that they are done at the same time.
        sharing = [
            other for other in self._members if not other.left_alone(now) and not keys.isdisjoint(other.served())
        ]
        total = self._queue.tokens + sum(other.tokens for other in sharing)
        share = -(-total // max(1, len(sharing))) - member.tokens
        if share <= 0 and len(sharing) > 1:
            return False
        batch = self._queue.next(now, models=keys, most_tokens=share)
        if batch is None:
            return False
        portions = [self._waiting[number].part(positions) for number, positions in batch.parts]
        for number, _ in batch.parts:
            if number not in self._queue.jobs:
                del self._waiting[number]
        self._work.send(member, portions, expected=self._queue.expected(batch.model, batch.tokens))
        return True

    def _settle(self) -> None:
        """End jobs that no process can go on with; give free processes their next batches."""
        for job in list(self._jobs):
            if not job.portions and not any(member.has(job.key) for member in self._members):
                why = ScorerUnavailable(self.why_not(job.model) or f"{job.model} was replaced meanwhile")
                self._scored(job, job.give_up(range(len(job.passages)), why))
        self._dispatch_soon()

    async def _idle(self, key: str) -> None:
        """Wait until no job for this very model is left, unless new ones come because most processes have it."""
        model = key.partition("\0")[0]
        while self.key(model) != key and (jobs := [job for job in self._jobs if job.key == key]):
            await asyncio.gather(*(job.done.wait() for job in jobs))

    async def _watch(self) -> None:
        """Give what waits for a silent process to another; ask a process again that is silent no longer."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self._work.move_from_silent()
            self._dispatch()
