"""The service's end of remote scorers: finds them, asks them, and learns when their models change.

It offers the service what `ScorerClient` offers for a process of this machine, and loads no model and no torch.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from sidecar.core.candidates import Passage, Score
from sidecar.core.errors import ModelError, ScorerUnavailable, ScoringError, SidecarError
from sidecar.core.model_spec import ModelSpec
from sidecar.core.read_options import AS_USUAL
from sidecar.core.token_guess import guess_tokens
from sidecar.scoring.remote.scorer import check_remote
from sidecar.scoring.remote.server_info import ServerInfo
from sidecar.scoring.remote.servers import RemoteServers
from sidecar.serving.scorer.admission import Admission
from sidecar.serving.scorer.fair_turns import FairTurns
from sidecar.serving.scorer.process_state import ProcessState
from sidecar.serving.scorer.protocol import USUAL_LENGTH, BatchReport, LoadedModel
from sidecar.serving.scorer.terms import Terms

# Seconds between two looks at what a server says of its model, and between two attempts to find one.
REFRESH_SECONDS, RETRY_SECONDS = 30.0, 1.0
_log = logging.getLogger("sidecar.scorer")


class RemoteScorerClient:
    """Every remote model under its name, by its specification. Raises ConfigurationError for an unfit specification.

    At most `most_waiting` passages wait for answers at once. A caller may be ahead of another by what a server does in
    a few `slice_seconds`. The other attributes are those of `ScorerClient`.
    """

    def __init__(
        self, models: Mapping[str, ModelSpec], *, most_waiting: int = 20_000, slice_seconds: float = 0.25
    ) -> None:
        self._slice_seconds = slice_seconds
        self.models = dict(models)
        self.loaded: dict[str, LoadedModel] = {}
        self.most_waiting = most_waiting
        self.on_batch: Callable[[BatchReport], None] = lambda _: None
        self.restarts = self.waiting_passages = self.queued_tokens = 0
        self.scored_at = self.batch_seconds = 0.0
        self.admission = Admission()
        self._servers = {
            name: RemoteServers(check_remote(spec), spec.remote, turns=partial(self._turns, name))
            for name, spec in models.items()
        }
        self._missing = dict.fromkeys(models, "its server was not found yet")
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """True if every model was found; its servers may fail at the moment."""
        return len(self.loaded) == len(self.models)

    @property
    def why_not_ready(self) -> str:
        """Return the reasons why models are not scored at the moment; empty if all are."""
        return "; ".join(f"{name}: {why}" for name, why in self._missing.items())

    def why_not(self, model: str) -> str:
        """Return the reason why a model may not be asked; empty if its servers were found."""
        return "" if model in self.loaded else f"{model}: {self._missing[model]}"

    @property
    def processes(self) -> list[ProcessState]:
        """Return nothing: a server's processes are its own."""
        return []

    def identity(self, model: str) -> str | None:
        """Return what distinguishes a model from others of its name; None while it was not found."""
        loaded = self.loaded.get(model)
        return None if loaded is None else loaded.identity

    async def start(self) -> None:
        """Find every model's servers; wait for those that do not answer yet. Raises ModelError for an unusable one."""
        await asyncio.gather(*map(self._find, self.models))
        self._refreshing = asyncio.create_task(self._refresh())

    async def stop(self) -> None:
        """Close all connections."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        await asyncio.gather(*(servers.close() for servers in self._servers.values()))

    async def score(self, model: str, query: str, passages: Sequence[Passage], terms: Terms) -> list[Score | None]:
        """Score passages, in the order given; None for those that were not scored in time.

        Callers take turns at the servers. Raises `ScorerUnavailable` if no server answers or too much waits already;
        `ScoringError` if one refused or its answer can't be used.
        """
        if not passages:
            return []
        if terms.how != AS_USUAL:
            raise ScoringError("A remote scorer reads as it was started.", remedy="Leave out the options of reading.")
        if why := self.why_not(model):
            raise ScorerUnavailable(why)
        servers, guessed, started = self._servers[model], guess_tokens(query, passages), time.monotonic()
        # The pace is that of one request: as many are sent at once as there are places.
        state = {"waiting": self.waiting_passages, "most": self.most_waiting, "scorers": servers.places}
        self.admission.check(model, terms.caller, guessed, seconds=terms.seconds, **state)
        tokens = sum(guessed)
        self.waiting_passages += len(passages)
        self.admission.add(model, terms.caller, tokens)
        try:
            found = await servers.scores(
                query, passages, seconds=terms.seconds, caller=terms.caller, priority=terms.priority
            )
        finally:
            self.waiting_passages -= len(passages)
            self.admission.add(model, terms.caller, -tokens)
        if any(score is not None for score in found.values):
            self.scored_at = time.monotonic()
            self.batch_seconds = self.scored_at - started
            self.on_batch(BatchReport(model, tokens, self.batch_seconds, 0, []))
        elif found.error is not None:
            raise found.error
        return found.values

    def _turns(self, model: str, places: int) -> FairTurns:
        return FairTurns(places, partial(self.admission.measured, model), slice_seconds=self._slice_seconds)

    async def reload(self, model: str) -> None:
        """Ask the servers again which model they have. Raises ModelError, ScorerUnavailable."""
        self._keep(model, await self._servers[model].open())

    async def _find(self, model: str) -> None:
        while True:
            try:
                self._keep(model, await self._servers[model].open())
            except ScorerUnavailable as error:
                self._lost(model, error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _refresh(self) -> None:
        """Learn when a server's model changed: scores of the previous one must not be taken for its own."""
        while True:
            await asyncio.sleep(RETRY_SECONDS if self._missing else REFRESH_SECONDS)
            for model in self.models:
                try:
                    self._keep(model, await self._servers[model].open())
                except (ModelError, ScorerUnavailable) as error:
                    self._lost(model, error)

    def _lost(self, model: str, error: SidecarError) -> None:
        if self._missing.get(model) != error.message:
            self._missing[model] = error.message
            _log.warning("the remote scorer of %s: %s", model, error.message)

    def _keep(self, model: str, info: ServerInfo) -> None:
        before = self.loaded.get(model)
        if before is not None and before.identity != info.identity:
            _log.warning("the remote scorer of %s has another model now: %s", model, info.identity)
        length = info.max_length or USUAL_LENGTH
        self.loaded[model] = LoadedModel(info.identity, info.mapping, info.fusion, length)
        self._missing.pop(model, None)
