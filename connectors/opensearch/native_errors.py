"""Errors that are of our class and of opensearch-py's class at once, so `except` works with either."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

from opensearchpy import TransportError

from sidecar.core.errors import EngineError

Ours = TypeVar("Ours", bound=EngineError)


def as_native(ours: Ours, theirs: TransportError) -> Ours:
    """Return our error as one that is of opensearch-py's class, too, with its `status_code`, `error` and `info`.

    Code that catches the errors of a client also catches those of a `RerankingClient` around it.
    """
    return _made(type(ours), type(theirs), vars(ours), theirs.args)


def _made(ours: type[Ours], theirs: type[TransportError], said: dict[str, Any], args: tuple[Any, ...]) -> Ours:
    classes: tuple[Any, Any] = ours, theirs
    kind = _both(*classes)
    made = kind.__new__(kind)
    vars(made).update(said)
    made.args = args
    return made  # type: ignore[no-any-return]


@lru_cache
def _both(ours: Any, theirs: Any) -> Any:
    def reduce(error: Any) -> tuple[Any, ...]:
        return _made, (ours, theirs, vars(error), error.args)

    return type(ours.__name__, (ours, theirs), {"__module__": __name__, "__reduce__": reduce, "__doc__": ours.__doc__})
