"""The raw scores alone, for tests that compare numbers."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.core.candidates import Passage
from sidecar.scoring import Scorer


def values(scorer: Scorer, query: str, passages: Sequence[Passage]) -> list[float]:
    return [score.value for score in scorer.score(query, passages)]
