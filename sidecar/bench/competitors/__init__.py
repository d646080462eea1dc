"""Everything that is not ours: the model card's helper, and libraries, each used as its own documentation shows."""

from __future__ import annotations

from sidecar.bench.competitors import card, rerankers_library, sentence_transformers_library
from sidecar.bench.system import Offer


def offers() -> list[Offer]:
    """All competitors, the yardstick first."""
    return [*card.OFFERS, *sentence_transformers_library.OFFERS, *rerankers_library.OFFERS]
