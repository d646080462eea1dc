"""Shadow rerankings: of searches that were answered already, to count what reranking would have changed."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from sidecar.core.reasons import Reason, Why
from sidecar.core.trace import Stage
from sidecar.serving.http.held_bytes import HeldBytes
from sidecar.serving.http.metrics import Metrics
from sidecar.serving.proxy import search_handler
from sidecar.serving.proxy.rerank_options import RerankOptions
from sidecar.serving.proxy.search_request import SearchCall
from sidecar.serving.proxy.shadow_log import ShadowFile, kept_at_top, shadow_record
from sidecar.serving.proxy.upstream import AnswerTooLarge, Upstream, UpstreamDown, UpstreamSlow
from sidecar.serving.scorer.service import Outcome, RerankingService, Status

_log = logging.getLogger("sidecar.shadow")


class Shadows:
    """The shadow rerankings under way. `record`, if there is one, writes down what each would have changed."""

    def __init__(self, upstream: Upstream, service: RerankingService, metrics: Metrics, held: HeldBytes) -> None:
        self.record: ShadowFile | None = None
        self._upstream = upstream
        self._service = service.without_rates()  # callers did not ask for this work
        self._metrics = metrics
        self._held = held
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    def start(self, call: SearchCall, options: RerankOptions) -> None:
        """Rerank a search after its answer."""
        task = asyncio.create_task(self._rerank(call, options))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Wait for those under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _rerank(self, call: SearchCall, options: RerankOptions) -> None:
        """Rerank, count what that would have changed, and record it."""
        with Stage("shadow") as stage:
            outcome = await self._outcome(call, options, time.perf_counter())
        seconds = stage.seconds
        kept = None if outcome.ranking is None else kept_at_top(outcome.ranking)
        self._metrics.shadow(outcome, seconds, kept)
        if self.record is not None:
            lost = await self.record.write(shadow_record(outcome, call.index, call.identity, seconds))
            self._metrics.shadow_lost(lost)

    async def _outcome(self, call: SearchCall, options: RerankOptions, started: float) -> Outcome:
        try:
            with self._held.hold(call.peer) as hold:
                counted = replace(call, hold=hold)
                answered = await search_handler.answer(counted, options, self._upstream, self._service, started)
        except (UpstreamDown, UpstreamSlow, AnswerTooLarge) as failure:
            why = Why(Reason.UPSTREAM_FAILED, str(failure))
        except Exception:  # noqa: BLE001  nobody waits for it, and the log has it
            _log.exception("a fault of ours, in a shadow")
            why = Why(Reason.INTERNAL_ERROR, "a fault of ours")
        else:
            return answered.outcome
        return search_handler.labelled(options, Outcome(Status.FAILED, why))
