"""All scorers of the service: one process or several for the local models, a client for remote ones.

A model's requests go to the scorer that has it. Each scorer has a circuit breaker of its own, so that one that fails
does not silence the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import to_builtins

from sidecar.core.candidates import Passage, Score
from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.model_spec import ModelSpec
from sidecar.scoring.remote.server_info import ToldModel
from sidecar.serving.scorer.process_state import ProcessState
from sidecar.serving.scorer.protocol import BatchReport, LoadedModel
from sidecar.serving.scorer.terms import Terms


class ScorerLink(Protocol):
    """One scorer, wherever it is: `ScorerClient`, `ScorerPool`, `RemoteScorerClient`."""

    on_batch: Callable[[BatchReport], None]

    @property
    def models(self) -> Mapping[str, ModelSpec]:
        """Return the specifications of its models by name."""
        ...

    @property
    def loaded(self) -> Mapping[str, LoadedModel]:
        """Return what is known of the models that can score."""
        ...

    @property
    def most_waiting(self) -> int:
        """Return how many passages may wait at once."""
        ...

    @property
    def waiting_passages(self) -> int:
        """Return the passages that wait."""
        ...

    @property
    def queued_tokens(self) -> int:
        """Return the tokens that wait for a device of this machine."""
        ...

    @property
    def restarts(self) -> int:
        """Return how often a process was replaced."""
        ...

    @property
    def scored_at(self) -> float:
        """Return when the last scores came, by `time.monotonic`."""
        ...

    @property
    def batch_seconds(self) -> float:
        """Return how long the last scores took."""
        ...

    @property
    def processes(self) -> Sequence[ProcessState]:
        """Return the state of its processes; none if it has none."""
        ...

    @property
    def ready(self) -> bool:
        """True if its models are there and may be asked."""
        ...

    @property
    def why_not_ready(self) -> str:
        """Return the reason why not all of its models answer; empty if they do."""
        ...

    def why_not(self, model: str) -> str:
        """Return the reason why a model may not be asked; empty if it may."""
        ...

    def identity(self, model: str) -> str | None:
        """Return what distinguishes a model from others of its name."""
        ...

    async def start(self) -> None:
        """Load or find the models. Raises `ModelError`."""
        ...

    async def stop(self) -> None:
        """End it."""
        ...

    async def score(self, model: str, query: str, passages: Sequence[Passage], terms: Terms) -> list[Score | None]:
        """Score passages, in the order given; None for those that were not scored in time."""
        ...

    async def reload(self, model: str) -> None:
        """Read a model again."""
        ...


class Scorers:
    """The scorers of all declared models; `names` is their order, the default first."""

    def __init__(
        self, links: Sequence[ScorerLink], breaker: Callable[[], CircuitBreaker], names: Sequence[str]
    ) -> None:
        self.links = list(links)
        self._of = {name: link for link in links for name in link.models}
        self._breakers = {id(link): breaker() for link in links}
        self.models: Mapping[str, ModelSpec] = {name: self._of[name].models[name] for name in names}

    def of(self, model: str) -> ScorerLink:
        """Return the scorer of a declared model."""
        return self._of[model]

    def breaker(self, model: str) -> CircuitBreaker:
        """Return the circuit breaker of a model's scorer."""
        return self._breakers[id(self._of[model])]

    def loaded(self, model: str) -> LoadedModel | None:
        """Return what is known of a model; None while it is not loaded."""
        return self._of[model].loaded.get(model)

    def described(self, model: str) -> dict[str, Any]:
        """Return what another sidecar, which asks this one as a remote scorer, has to know of a model."""
        known = self.loaded(model)
        if known is None:
            return {}
        told = ToldModel(known.identity, known.mapping, known.fusion, known.max_length)
        return {"sidecar": to_builtins(told)}

    @property
    def ready(self) -> bool:
        """True if every model answers now."""
        return not self.why_not_ready

    @property
    def why_not_ready(self) -> str:
        """Return the reasons why models do not answer; empty if all do."""
        return "; ".join(why for link in self.links if (why := link.why_not_ready))

    @property
    def breaker_open(self) -> bool:
        """True if a scorer is left alone after failures."""
        return any(breaker.open for breaker in self._breakers.values())

    @property
    def most_waiting(self) -> int:
        """Return how many passages may wait for a scorer at once."""
        return min(link.most_waiting for link in self.links)

    @property
    def waiting_passages(self) -> int:
        """Return the passages that wait."""
        return sum(link.waiting_passages for link in self.links)

    @property
    def queued_tokens(self) -> int:
        """Return the tokens that wait for a device of this machine."""
        return sum(link.queued_tokens for link in self.links)

    @property
    def processes(self) -> list[ProcessState]:
        """Return the state of every scorer process of this machine."""
        return [process for link in self.links for process in link.processes]

    @property
    def restarts(self) -> int:
        """Return how often a scorer process was started again."""
        return sum(link.restarts for link in self.links)

    def report_batches(self, call: Callable[[BatchReport], None]) -> None:
        """Have every batch of every scorer reported."""
        for link in self.links:
            link.on_batch = call

    async def start(self) -> None:
        """Start all. Raises the first `ModelError`."""
        await asyncio.gather(*(link.start() for link in self.links))

    async def stop(self) -> None:
        """End all."""
        await asyncio.gather(*(link.stop() for link in self.links))
