"""Knowledge of one cluster, and the search flows that use and extend it. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from connectors.opensearch.flow.caller import digest
from connectors.opensearch.flow.field_lookup import FieldLookups
from connectors.opensearch.flow.remembered import Remembered
from connectors.opensearch.flow.search_flow import SearchFlow, search_flow
from connectors.opensearch.flow.search_pipelines import Pipelines
from connectors.opensearch.rewrite.request import FetchPhase
from connectors.opensearch.rewrite.search_body import SearchBody
from sidecar.core.documents import PassageFields
from sidecar.core.reasons import Why

# Seconds. A window limit is rarely raised; if it was, one search in five minutes is enough to find out.
LIMIT_REMEMBERED = 300.0


class WindowLimits:
    """Limits that searches met lately, by a key for index and caller; `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._met: Remembered[int] = Remembered(LIMIT_REMEMBERED, clock=clock)

    def window(self, key: object, wanted: int) -> int:
        """Return the window to request: as large as wanted, if that was not refused lately."""
        limit = self._met.get(key)
        return wanted if limit is None else min(limit, wanted)

    def remember(self, key: object, limit: int | None) -> None:
        """Keep a limit that was met."""
        if limit is not None:
            self._met.keep(key, limit)


class Cluster:
    """Windows that the indexes allow, search pipelines, and fields; what one caller learns, no other one is told."""

    def __init__(self) -> None:
        self.limits = WindowLimits()
        self.pipelines = Pipelines()
        self.lookups = FieldLookups()

    def search(  # noqa: PLR0913  the search flow's own
        self,
        index: str | None,
        body: SearchBody,
        params: Mapping[str, Any],
        *,
        window: int,
        fields: PassageFields,
        caller: bytes,
        fetch_phase: FetchPhase = "window",
        declined: Why | None = None,
    ) -> SearchFlow:
        """Start a search flow (`search_flow`); `index` is its index expression, None for all.

        `caller` is the caller's key (`caller_of`).
        """
        key = digest(caller, index)
        first_stage = yield from search_flow(
            body,
            params,
            window=self.limits.window(key, window),
            fields=fields,
            fetch_phase=fetch_phase,
            declined=declined,
            overrule=partial(self.pipelines.overrule, index, caller=caller),
            lookup=self.lookups.of(key, fields),
        )
        self.limits.remember(key, first_stage.native.limit)
        return first_stage
