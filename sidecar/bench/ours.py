"""Our own engines, each through the scorer that the product runs."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, cast

from sidecar.bench.subject import Subject
from sidecar.bench.system import Offer, Score
from sidecar.bench.work import Query
from sidecar.errors import ConfigurationError
from sidecar.scoring.engines import ENGINES, choose_engine
from sidecar.scoring.loading import load_scorer

if TYPE_CHECKING:
    from sidecar.scoring.cross_encoder import CrossEncoder

AUTOMATIC = "ours"
# These run transformers' own model, so they need no copy of weights that are shared.
_BORROWING = ("transformers", "card")


def offers() -> list[Offer]:
    """`ours`, which is the engine that `auto` chooses, the same compiled, and `ours-NAME` for every other engine."""
    named = {AUTOMATIC if engine == "auto" else f"{AUTOMATIC}-{engine}": engine for engine in ENGINES}
    return [
        *(Offer(name, f"engine {engine}", functools.partial(_Ours, engine=engine)) for name, engine in named.items()),
        Offer(f"{AUTOMATIC}-compile", "engine auto, compiled", _compiled),
    ]


def scorer(subject: Subject, engine: str, *, compile: bool = False) -> CrossEncoder:  # noqa: A002  load_scorer's name
    """The product's scorer of the subject with one of its engines. Raises ConfigurationError."""
    if subject.shared and engine in _BORROWING:
        from sidecar.scoring.cross_encoder import CrossEncoder

        return CrossEncoder(subject.checkpoint, engine=choose_engine(subject.checkpoint, engine, batch_size=128))
    loaded = load_scorer(
        str(subject.directory), device=subject.device, dtype=subject.dtype, engine=engine, compile=compile
    )
    return cast("CrossEncoder", loaded)


class _Ours:
    """Scores a query as the product does; `about` names the engine, for `auto` has chosen one."""

    def __init__(self, subject: Subject, *, engine: str, compile: bool = False) -> None:  # noqa: A002
        self._scorer = scorer(subject, engine, compile=compile)
        self.about = f"rerank-sidecar, engine {self._scorer.engine.name}{', compiled' if compile else ''}"

    def __call__(self, query: Query) -> list[float]:
        return [found.value for found in self._scorer.score(query.text, query.passages)]


def _compiled(subject: Subject) -> Score:
    if not subject.device.startswith("cuda"):
        raise ConfigurationError("Compiling pays on a GPU; here it would take most of the time there is.")
    return _Ours(subject, engine="auto", compile=True)
