"""The parts that all integrations share: the reranker, the order of texts, and a missing framework. Imports none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sidecar.core.candidates import Passage
from sidecar.core.errors import ConfigurationError
from sidecar.reranker import Reranker, load_reranker


class MissingFramework(ConfigurationError, ImportError):
    """The framework of an integration is not installed."""


def missing(framework: str, extra: str, error: ImportError) -> MissingFramework:
    """Return the error for a framework that can't be imported."""
    return MissingFramework(
        f"{framework} can't be imported: {error}.", remedy=f"Install it with: pip install 'rerank-sidecar[{extra}]'"
    )


def as_reranker(model: str | Reranker, options: dict[str, Any]) -> Reranker:
    """Return a reranker, loaded if the model is a name; `options` are those of `load_reranker`.

    Raises what `load_reranker` raises, and `ConfigurationError` for options beside a reranker that is loaded already.
    """
    if isinstance(model, str):
        return load_reranker(model, **options)
    if options:
        raise ConfigurationError(
            f"{', '.join(options)} can't change a reranker that is loaded.", remedy="Give them to load_reranker."
        )
    return model


def check_top(top: int | None, name: str) -> int | None:
    """Return a number of results. Raises `ConfigurationError` unless it is None or a whole number from 1 on."""
    if top is not None and (isinstance(top, bool) or not isinstance(top, int) or top < 1):
        raise ConfigurationError(f"{name} is {top!r}, not a number from 1 on.", remedy="Leave it out to get all.")
    return top


def passage(text: object, title: object = None) -> Passage:
    """Return what the model reads of a text and a title; anything but a text counts as none."""
    return Passage(title if isinstance(title, str) else "", text if isinstance(text, str) else "")


def best_first(
    reranker: Reranker, query: str, passages: Sequence[Passage], top: int | None
) -> list[tuple[int, float | None]]:
    """Return (position, raw score) of the `top` best passages (None: all), best first.

    Passages without text are not scored: they follow in their order, with None. Equal scores keep their order. Raises
    `InputError` for an empty query.
    """
    readable = [index for index, one in enumerate(passages) if not one.is_empty]
    ranked = reranker.rank(query, [passages[index] for index in readable])
    found: list[tuple[int, float | None]] = [(readable[one.index], one.score) for one in ranked]
    found += [(index, None) for index, one in enumerate(passages) if one.is_empty]
    return found[:top]
