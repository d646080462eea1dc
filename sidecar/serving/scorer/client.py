"""The only scorer process of the service: decides which requests it takes, and scores them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from sidecar.core.candidates import Passage, Score
from sidecar.core.errors import ScorerUnavailable
from sidecar.core.model_spec import ModelSpec
from sidecar.core.token_guess import guess_tokens
from sidecar.serving.scorer.process import ScorerProcess
from sidecar.serving.scorer.terms import Terms


class ScorerClient(ScorerProcess):
    """A scorer process behind its own queue; at most `most_waiting` passages wait for it at once.

    `options` are those of `ScorerProcess`.
    """

    def __init__(self, models: Mapping[str, ModelSpec], *, most_waiting: int = 20_000, **options: Any) -> None:
        super().__init__(models, **options)
        self.most_waiting = most_waiting

    async def score(self, model: str, query: str, passages: Sequence[Passage], terms: Terms) -> list[Score | None]:
        """Score passages, in the order given; None for those that were not scored in time.

        Callers share the device in turns. Raises `ScorerUnavailable` if there is no scorer, or it ended, or too much
        waits already; `ScoringError` if the model failed.
        """
        if not passages:
            return []
        tokens = guess_tokens((terms.how.instruction or "") + query, passages)
        self._admit(model, tokens, terms)
        asked = perf_counter()
        with self.sent(model, query, passages, tokens, terms) as pending:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(terms.seconds):
                    await pending.done.wait()
            pending.times.tell(asked)
            if pending.failure is not None:
                raise pending.failure
            return pending.scores

    def _admit(self, model: str, tokens: Sequence[int], terms: Terms) -> None:
        """Raise `ScorerUnavailable` for passages that can't be scored, or not in time."""
        if not self.ready:
            raise ScorerUnavailable(self.why_not_ready)
        state = {"waiting": self.waiting_passages, "most": self.most_waiting}
        self.admission.check(model, terms.caller, tokens, seconds=terms.seconds, **state)
