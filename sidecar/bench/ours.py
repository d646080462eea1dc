"""Our own engines, each through the scorer that the product runs."""

from __future__ import annotations

import functools
from typing import Any

from sidecar.bench.subject import Subject
from sidecar.bench.system import Offer
from sidecar.bench.work import Query
from sidecar.scoring import Scorer
from sidecar.scoring.engines import ENGINES, choose_engine
from sidecar.scoring.loading import load_scorer

AUTOMATIC = "ours"


def offers() -> list[Offer]:
    """`ours`, which is the engine that `auto` chooses, and `ours-NAME` for every other engine there is."""
    named = {AUTOMATIC if engine == "auto" else f"{AUTOMATIC}-{engine}": engine for engine in ENGINES}
    return [
        Offer(name, f"rerank-sidecar, engine {engine}", functools.partial(_Ours, engine=engine))
        for name, engine in named.items()
    ]


def scorer(subject: Subject, engine: str) -> Scorer:
    """The product's scorer of the subject with one of its engines. Raises ConfigurationError."""
    if not subject.shared:
        return load_scorer(str(subject.directory), device=subject.device, dtype=subject.dtype, engine=engine)
    from sidecar.scoring.cross_encoder import CrossEncoder

    checkpoint = subject.checkpoint
    return CrossEncoder(checkpoint, engine=choose_engine(checkpoint, engine, batch_size=128))


class _Ours:
    """Scores a query as the product does; `about` names the engine, for `auto` has chosen one."""

    def __init__(self, subject: Subject, engine: str) -> None:
        self._scorer: Any = scorer(subject, engine)
        self.about = f"rerank-sidecar, engine {self._scorer.engine.name}"

    def __call__(self, query: Query) -> list[float]:
        return [found.value for found in self._scorer.score(query.text, query.passages)]
