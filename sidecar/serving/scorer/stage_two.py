"""Stage two in the service: asks a remote generator within the budget of a search; never an exception.

Orders are kept, so that all pages of a search have the same one and only the first page waits for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from dataclasses import replace
from functools import partial

from sidecar.core.candidates import Ranking
from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.errors import ConfigurationError, ScorerBusy, ScorerUnavailable, SidecarError
from sidecar.core.listwise_spec import ListwiseSpec
from sidecar.core.stage_two import StageTwo
from sidecar.core.trace import Stage
from sidecar.listwise.remote import RemoteGenerator
from sidecar.listwise.stage import NEARLY, depth_of, reordered, sorting_of, too_late, why_of
from sidecar.listwise.windows import Sorted, advance
from sidecar.scoring.cache_keys import add_text
from sidecar.serving.scorer.fair_turns import FairTurns
from sidecar.serving.scorer.terms import Terms

# Orders that are kept.
KEPT = 1000
_log = logging.getLogger("sidecar.stage_two")


class ServiceStageTwo:
    """The generator of the service. Raises ConfigurationError for one on this machine.

    A generator that can't be reached when the service starts is looked for again with the next search. After failures
    in a row it is not asked for a while, as the `breaker` says. Callers take turns at the generator: one may be ahead
    of another by what a server does in a few `slice_seconds`.
    """

    def __init__(self, spec: ListwiseSpec, breaker: CircuitBreaker, *, slice_seconds: float = 0.25) -> None:
        if not spec.is_remote:
            raise ConfigurationError(
                f"The service asks a generator behind a URL, not {spec.model} on this machine.",
                remedy="Run it by a server such as vLLM, and give its URL as listwise_model.",
            )
        self.spec = spec
        self._generator = RemoteGenerator(spec, turns=partial(FairTurns, slice_seconds=slice_seconds))
        self._breaker = breaker
        self._kept: OrderedDict[bytes, Sorted] = OrderedDict()

    @property
    def name(self) -> str:
        """Return the name by which a search may ask for it."""
        return self.spec.remote.model or "listwise"

    async def close(self) -> None:
        """Close all connections."""
        await self._generator.close()

    async def reorder(self, ranking: Ranking, terms: Terms) -> Ranking:
        """Return the ranking with its first hits in the generator's order, or as it is with the reason why not."""
        depth = depth_of(ranking, self.spec)
        if depth < 2:
            return ranking
        stage = Stage("listwise")
        try:
            with stage:
                stage.tell({"rerank.generator": self.name, "rerank.depth": depth})
                found = await self._known_or_sorted(ranking, depth, terms)
        except SidecarError as error:
            late = stage.seconds > NEARLY * terms.seconds
            return replace(ranking, stage_two=StageTwo(depth, (), why_of(error, late=late)))
        ranking = reordered(ranking, found)
        return replace(ranking, seconds={**ranking.seconds, "listwise": stage.seconds})

    async def _known_or_sorted(self, ranking: Ranking, depth: int, terms: Terms) -> Sorted:
        if terms.seconds <= 0:
            raise too_late(0.0)
        if not self._breaker.allows(time.monotonic()):
            raise ScorerUnavailable("the generator failed several times in a row and is not asked for a while")
        try:
            await self._found(terms.seconds)
            key = self._key(ranking, depth)
            if (known := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return known
            found = await self._sorted(ranking, terms)
        except SidecarError as error:
            if isinstance(error, ScorerUnavailable) and not isinstance(error, ScorerBusy):
                self._breaker.failed(time.monotonic())
            _log.warning("stage two: %s", error.message)
            raise
        self._breaker.succeeded()
        if all(window.readable for window in found.windows):
            self._kept[key] = found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    async def _found(self, seconds: float) -> None:
        """Find the generator's servers, once."""
        if self._generator.identity:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._generator.open()
        except TimeoutError:
            raise too_late(seconds) from None

    async def _sorted(self, ranking: Ranking, terms: Terms) -> Sorted:
        sorting = sorting_of(ranking, self.spec, self._generator.prompt)
        deadline, step = time.monotonic() + terms.seconds, advance(sorting, None)
        while not isinstance(step, Sorted):
            left = deadline - time.monotonic()
            if left <= 0:
                raise too_late(terms.seconds)
            answer = await self._generator.answer(step, seconds=left, caller=terms.caller, priority=terms.priority)
            step = advance(sorting, answer)
        return step

    def _key(self, ranking: Ranking, depth: int) -> bytes:
        """Return a key of the generator, the query and the texts in their order."""
        digest = hashlib.blake2b(digest_size=16)
        for text in (self._generator.identity, ranking.query):
            add_text(digest, text)
        for hit in ranking.hits[:depth]:
            add_text(digest, hit.candidate.passage.title)
            add_text(digest, hit.candidate.passage.text)
        return digest.digest()
