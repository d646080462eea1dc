"""Estimate tokens where nothing is tokenised. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.core.candidates import Passage

# English has four to five characters a token.
CHARACTERS_PER_TOKEN = 4


def guess_tokens(query: str, passages: Sequence[Passage]) -> list[int]:
    """Estimate the tokens of each pair, at least 1."""
    return [1 + (len(query) + len(one.title) + len(one.text)) // CHARACTERS_PER_TOKEN for one in passages]
