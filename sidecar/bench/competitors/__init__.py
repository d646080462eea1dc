"""Everything that is not ours: the model card's helper, and libraries, each used as its own documentation shows."""

from __future__ import annotations

import functools
from dataclasses import replace

from sidecar.bench.competitors import card, rerankers_library, sentence_transformers_library
from sidecar.bench.subject import Subject
from sidecar.bench.system import Offer, Score
from sidecar.core.errors import ConfigurationError


def offers() -> list[Offer]:
    """All competitors, the yardstick first; one that fails to load says so as a ConfigurationError."""
    found = [*card.OFFERS, *sentence_transformers_library.OFFERS, *rerankers_library.OFFERS]
    return [replace(offer, load=functools.partial(_load, offer)) for offer in found]


def _load(offer: Offer, subject: Subject) -> Score:
    try:
        return offer.load(subject)
    except (ImportError, ConfigurationError):
        raise
    except Exception as error:  # whatever a foreign library raises must not end the measuring of the others
        reason = (str(error).splitlines() or [""])[0]
        raise ConfigurationError(f"fails to load: {type(error).__name__}: {reason}") from error
