"""Our own engines, each through the scorer that the product uses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from sidecar.bench.subject import Subject
from sidecar.bench.system import Offer, Score
from sidecar.bench.work import Query
from sidecar.core.errors import ConfigurationError
from sidecar.scoring.engines.names import BFLOAT16, ENGINES, OPENVINO
from sidecar.scoring.engines.select import choose_engine
from sidecar.scoring.loading import load_scorer

if TYPE_CHECKING:
    from sidecar.core.model_spec import Compiling
    from sidecar.scoring.cross_encoder import CrossEncoder

AUTOMATIC = "ours"
# These use transformers' own model, so they need no copy of shared weights.
_BORROWING = ("transformers", "card")


def modes(asked: str, dtype: str) -> dict[str, tuple[str, str]]:
    """Return engine and dtype of all our systems, by name: `auto` in the requested dtype, all others in `dtype`.

    OpenVINO also computes in bfloat16, if that is not already included.
    """
    named = {engine: (engine, asked if engine == "auto" else dtype) for engine in ENGINES}
    return named if dtype == BFLOAT16 else named | {OPENVINO[BFLOAT16]: ("openvino", BFLOAT16)}


def offers(subject: Subject) -> list[Offer]:
    """Yield `ours`, the service's default; `ours-eager`, if that is compiled; `ours-NAME` for each other mode."""
    offered = [Offer(AUTOMATIC, "engine auto", functools.partial(_Ours, automatic))]
    for name, (engine, dtype) in modes(subject.asked, subject.dtype).items():
        # For a shape auto is packed, so a second copy of its weights would measure the same.
        if engine != "auto" and not (subject.shared and engine == "packed"):
            load = functools.partial(scorer, engine=engine, dtype=dtype)
            offered.append(Offer(f"{AUTOMATIC}-{name}", f"engine {name}", functools.partial(_Ours, load)))
    return [*offered, Offer(f"{AUTOMATIC}-eager", "engine auto, not compiled", _eager)]


def automatic(subject: Subject) -> CrossEncoder:
    """Return the scorer that the service uses by default, once it is compiled."""
    return scorer(subject, "auto", dtype=subject.asked, compile="before" if _compiles(subject) else "never")


def scorer(
    subject: Subject,
    engine: str,
    *,
    dtype: str,
    compile: Compiling = "never",  # noqa: A002  load_scorer's name
) -> CrossEncoder:
    """Return the product's scorer of the subject with one of its engines. Raises ConfigurationError."""
    if subject.shared and engine in _BORROWING:
        from sidecar.scoring.cross_encoder import CrossEncoder

        return CrossEncoder(subject.checkpoint, engine=choose_engine(subject.checkpoint, engine, batch_size=128))
    loaded = load_scorer(str(subject.directory), device=subject.device, dtype=dtype, engine=engine, compile=compile)
    return cast("CrossEncoder", loaded)


class _Ours:
    """Scores a query as the product does; `about` names the engine, since `auto` chooses one."""

    def __init__(self, load: Callable[[Subject], CrossEncoder], subject: Subject) -> None:
        self._scorer = load(subject)
        compiled = ", compiled" if getattr(self._scorer.engine, "compiled", None) else ""
        self.about = f"rerank-sidecar, engine {self._scorer.engine.name}{compiled}"

    def __call__(self, query: Query) -> list[float]:
        return [found.value for found in self._scorer.score(query.text, query.passages)]


def _eager(subject: Subject) -> Score:
    if not _compiles(subject):
        raise ConfigurationError("Nothing is compiled here, so it is the same as ours.")
    return _Ours(functools.partial(scorer, engine="auto", dtype=subject.asked), subject)


def _compiles(subject: Subject) -> bool:
    from sidecar.scoring.engines.packed.compiling import pays

    # Encoders and models of transformers are compiled only on request.
    return pays(subject.device.partition(":")[0]) and subject.checkpoint.traits.decoder
