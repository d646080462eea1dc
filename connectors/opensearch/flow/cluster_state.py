"""Knowledge of one cluster, and the conversations that make use of it. Pure: it sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from connectors.opensearch.flow.caller import digest
from connectors.opensearch.flow.field_lookup import FieldLookups
from connectors.opensearch.flow.max_result_window import WindowLimits
from connectors.opensearch.flow.search_flow import Conversation, search_flow
from connectors.opensearch.flow.search_pipelines import Pipelines
from connectors.opensearch.rewrite.request import Hydrate
from sidecar.core.documents import PassageFields
from sidecar.core.reasons import Why


class Cluster:
    """The windows that its indexes allow, its search pipelines and fields: what one caller learns, no other is told."""

    def __init__(self) -> None:
        self.limits = WindowLimits()
        self.pipelines = Pipelines()
        self.lookups = FieldLookups()

    def begin(  # noqa: PLR0913  the conversation's own
        self,
        index: str | None,
        body: bytes,
        params: Mapping[str, Any],
        *,
        window: int,
        fields: PassageFields,
        caller: bytes,
        hydrate: Hydrate = "window",
        declined: Why | None = None,
    ) -> Conversation:
        """Begin a search's conversation; `index` is its index expression, None for all. See `conversation`.

        `caller` is the key of who searches (`caller_of`).
        """
        key = digest(caller, index)
        first_stage = yield from search_flow(
            body,
            params,
            window=self.limits.window(key, window),
            fields=fields,
            hydrate=hydrate,
            declined=declined,
            overrule=partial(self.pipelines.overrule, index, caller=caller),
            lookup=self.lookups.of(key, fields),
        )
        self.limits.remember(key, first_stage.native.limit)
        return first_stage
