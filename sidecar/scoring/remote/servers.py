"""Ask remote scorers: batches to the servers' limits, retries within the deadline, several servers of one model.

A server that fails is left alone for a while by its circuit breaker; the others take its batches.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
from aiohttp import ClientSession

from sidecar.core.candidates import Passage, RequestTokens, Score
from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.errors import ModelError, ScorerUnavailable, SidecarError
from sidecar.core.model_spec import Remote
from sidecar.core.token_guess import guess_tokens
from sidecar.scoring.remote.dialects import DIALECTS
from sidecar.scoring.remote.replicas import Replicas
from sidecar.scoring.remote.server_info import ServerInfo
from sidecar.scoring.remote.transport import Again, Server, TooLarge, session_for
from sidecar.scoring.remote.turns import InOrder, Request, Turns


@dataclass(frozen=True, slots=True)
class RemoteScores:
    """Scores in the order of the passages, None for those that were not scored; `error` is the first reason.

    A score tells the tokens of its request if the server did.

    It is a ScorerUnavailable (ScorerBusy if a server said so) if servers can't be reached, and a ScoringError if one
    refused or its answer can't be used. There is none if the time ran out.
    """

    values: list[Score | None]
    error: SidecarError | None


@dataclass(frozen=True, slots=True)
class _Work:
    """A query to score until `deadline`, by the clock of the event loop; `tokens` estimates those of each passage.

    `failures` are those of attempts, `errors` those that ended a batch.
    """

    query: str
    passages: Sequence[Passage]
    scores: list[Score | None]
    deadline: float
    tokens: Sequence[int]
    caller: str
    priority: int
    failures: list[SidecarError] = field(default_factory=list)
    errors: list[SidecarError] = field(default_factory=list)


class RemoteServers:
    """The servers of one remote model. Use it within one event loop; `open` comes first, `close` last.

    `failures` in a row leave a server alone for `pause` seconds. `turns` makes what decides which request a server gets
    next, from the number of requests at once.
    """

    def __init__(
        self,
        urls: Sequence[str],
        remote: Remote,
        *,
        failures: int = 3,
        pause: float = 5.0,
        turns: Callable[[int], Turns] = InOrder,
    ) -> None:
        self.remote = remote
        self.info: ServerInfo | None = None
        self._servers = [Server(url, remote, CircuitBreaker(failures, pause)) for url in urls]
        self._turns = {server.url: turns(remote.concurrency) for server in self._servers}
        self._replicas = Replicas(self._servers)
        self._session: ClientSession | None = None

    async def open(self) -> ServerInfo:
        """Find out the API and the model, from all servers that answer.

        Raises ScorerUnavailable if none answers, ModelError if a server can't be used or they have different models.
        """
        if self._session is None:
            self._session = session_for(self.remote)
            for server in self._servers:
                server.session = self._session
        found = await asyncio.gather(*(server.describe() for server in self._servers), return_exceptions=True)
        for result in found:
            if isinstance(result, BaseException) and not isinstance(result, ScorerUnavailable):
                raise result
        known = [one for one in found if isinstance(one, ServerInfo)]
        if not known:
            raise next(one for one in found if isinstance(one, ScorerUnavailable))
        if len({one.identity for one in known}) > 1:
            told = ", ".join(f"{server.url}: {server.info.identity}" for server in self._servers if server.info)
            expected = self.info or known[0]
            for server in self._servers:
                if server.info is not None and server.info.identity != expected.identity:
                    server.info = None  # it is not asked until it has the others' model
            raise ModelError(f"The servers have different models: {told}.", remedy="Name servers of one model.")
        self.info = known[0]
        return self._named(known[0])

    def _named(self, info: ServerInfo) -> ServerInfo:
        """Add the addresses to an identity that is only a name: two servers may give one name to two models."""
        if info.told_by_sidecar:
            return info
        urls = ",".join(sorted(server.url for server in self._servers))
        return msgspec.structs.replace(info, identity=f"{info.identity} at {urls}")

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def places(self) -> int:
        """Return how many requests may be sent at once, to all servers that are not left alone."""
        return self.remote.concurrency * max(1, sum(not server.breaker.open for server in self._servers))

    async def scores(
        self, query: str, passages: Sequence[Passage], *, seconds: float, caller: str = "", priority: int = 0
    ) -> RemoteScores:
        """Score passages within `seconds`. Raises nothing: what failed is in the result."""
        deadline, tokens = asyncio.get_running_loop().time() + seconds, guess_tokens(query, passages)
        work = _Work(query, passages, [None] * len(passages), deadline, tokens, caller, priority)
        largest = max((server.largest for server in self._servers), default=0) or len(passages)
        parts = [range(start, min(start + largest, len(passages))) for start in range(0, len(passages), largest)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(work.deadline), asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(self._tried(work, part))
        # If the time ran out while a batch waited for another attempt, its last failure is the reason.
        errors = work.errors or (work.failures[-1:] if None in work.scores else [])
        return RemoteScores(work.scores, errors[0] if errors else None)

    async def _tried(self, work: _Work, part: range) -> None:
        try:
            await self._batch(work, part)
        except SidecarError as error:
            work.errors.append(error)

    async def _batch(self, work: _Work, part: range) -> None:
        """Score one batch; retry until the deadline."""
        passages = work.passages[part.start : part.stop]
        tokens = sum(work.tokens[part.start : part.stop])
        unscored = sum(count for count, score in zip(work.tokens, work.scores, strict=True) if score is None)
        request = Request(work.caller, tokens, max(0, unscored - tokens), work.deadline, work.priority)

        async def ask(server: Server, seconds: float) -> list[Score]:
            try:
                async with self._turns[server.url].turn(request):
                    return await self._ask(server, work.query, passages, seconds)
            except TooLarge:
                server.largest = min(server.largest, max(1, len(part) // 2))
                raise

        try:
            scores = await self._replicas.ask(work.deadline, ask, work.failures.append)
        except TooLarge:
            half = max(1, len(part) // 2)
            await self._batch(work, part[:half])
            await self._batch(work, part[half:])
        else:
            work.scores[part.start : part.stop] = scores

    async def _ask(self, server: Server, query: str, passages: Sequence[Passage], seconds: float) -> list[Score]:
        if server.info is None:
            await self._join(server)
        assert server.info is not None  # noqa: S101  `_join` raises otherwise
        dialect = DIALECTS[server.info.dialect]
        body = dialect.write(query, passages, server.info.model)
        reply = await server.post_within(seconds, dialect.path, body, len(passages))
        values = dialect.read(reply.content, len(passages), server.url)
        tokens = dialect.tokens(reply.content) or reply.tokens
        request = None if tokens is None else RequestTokens(tokens, len(passages))
        return [Score(value, request=request) for value in values]

    async def _join(self, server: Server) -> None:
        """Have a server describe itself; its model must be that of the others."""
        try:
            found = await server.describe()
        except ScorerUnavailable as error:
            raise Again(error) from error
        if self.info is not None and found.identity != self.info.identity:
            server.info = None
            raise Again(ScorerUnavailable(f"{server.url} has another model now: {found.identity}"))
