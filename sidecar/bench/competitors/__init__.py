"""The competitors: the model card's helper, and libraries, each used as its own documentation shows."""

from __future__ import annotations

import functools
from dataclasses import replace

from sidecar.bench.competitors import card, rerankers_library, sentence_transformers_library
from sidecar.bench.subject import Subject
from sidecar.bench.system import Offer, Score
from sidecar.core.errors import ConfigurationError


def offers() -> list[Offer]:
    """Return all competitors, the baseline first; one that fails to load raises ConfigurationError."""
    found = [*card.OFFERS, *sentence_transformers_library.OFFERS, *rerankers_library.OFFERS]
    return [replace(offer, load=functools.partial(_load, offer)) for offer in found]


def _load(offer: Offer, subject: Subject) -> Score:
    try:
        return offer.load(subject)
    except (ImportError, ConfigurationError):
        raise
    except Exception as error:  # an error of another library must not end the benchmark of the others
        reason = (str(error).splitlines() or [""])[0]
        raise ConfigurationError(f"fails to load: {type(error).__name__}: {reason}") from error
