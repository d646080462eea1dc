"""Our own engines, each through the scorer that the product uses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast

from sidecar.bench.subject import Subject
from sidecar.bench.system import Offer, Score
from sidecar.bench.work import Query
from sidecar.core.errors import ConfigurationError
from sidecar.scoring.checkpoints.precision import FP8
from sidecar.scoring.engines.names import BFLOAT16, ENGINES, OPENVINO, PACKED, TRANSFORMERS
from sidecar.scoring.engines.select import choose_engine
from sidecar.scoring.loading import load_scorer

if TYPE_CHECKING:
    from sidecar.core.model_spec import Compiling
    from sidecar.scoring.cross_encoder import CrossEncoder

AUTOMATIC = "ours"
# These use transformers' own model, so they need no copy of shared weights.
_BORROWING = ("transformers", "card")


class Mode(NamedTuple):
    """How one of our systems is loaded."""

    engine: str
    dtype: str
    quantization: str = "none"


def modes(asked: str, dtype: str, quantization: str = "none") -> dict[str, Mode]:
    """Return the modes of all our systems, by name: `auto` in the requested dtype, all others in `dtype`.

    OpenVINO also computes in bfloat16, if that is not already included. With `quantization` there is one system more,
    with quantised weights.
    """
    named = {engine: Mode(engine, asked if engine == "auto" else dtype) for engine in ENGINES}
    if dtype != BFLOAT16:
        named[OPENVINO[BFLOAT16]] = Mode("openvino", BFLOAT16)
    if quantization != "none":
        engine = PACKED if quantization == FP8 else TRANSFORMERS
        named[f"{engine}-{quantization}"] = Mode(engine, dtype, quantization)
    return named


def offers(subject: Subject) -> list[Offer]:
    """Yield `ours`, the service's default; `ours-eager`, if that is compiled; `ours-NAME` for each other mode."""
    offered = [Offer(AUTOMATIC, "engine auto", functools.partial(_Ours, automatic))]
    for name, mode in modes(subject.asked, subject.dtype, subject.quantization).items():
        # For a shape auto is packed, so a second copy of its weights would measure the same.
        if name != "auto" and not (subject.shared and name == PACKED):
            load = functools.partial(_in_mode, mode)
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
    quantization: str = "none",
    compile: Compiling = "never",  # noqa: A002  load_scorer's name
) -> CrossEncoder:
    """Return the product's scorer of the subject with one of its engines. Raises ConfigurationError."""
    if subject.shared and engine in _BORROWING and quantization == "none":
        from sidecar.scoring.cross_encoder import CrossEncoder

        return CrossEncoder(subject.checkpoint, engine=choose_engine(subject.checkpoint, engine, batch_size=128))
    loaded = load_scorer(
        str(subject.directory),
        device=subject.device,
        dtype=dtype,
        engine=engine,
        quantization=quantization,
        compile=compile,
    )
    return cast("CrossEncoder", loaded)


def _in_mode(mode: Mode, subject: Subject) -> CrossEncoder:
    """Return a scorer; compiled if it is what `auto` is, with quantised weights."""
    compiled = mode.engine == PACKED and mode.quantization != "none" and _compiles(subject)
    return scorer(subject, **mode._asdict(), compile="before" if compiled else "never")


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
