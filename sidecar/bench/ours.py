"""Our own engines, each through the scorer that the product runs."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, cast

from sidecar.bench.subject import Subject
from sidecar.bench.system import Offer, Score
from sidecar.bench.work import Query
from sidecar.errors import ConfigurationError
from sidecar.scoring.encoder_choice import BFLOAT16, OPENVINO
from sidecar.scoring.engines import ENGINES, choose_engine
from sidecar.scoring.loading import load_scorer

if TYPE_CHECKING:
    from sidecar.scoring.cross_encoder import CrossEncoder

AUTOMATIC = "ours"
# These run transformers' own model, so they need no copy of weights that are shared.
_BORROWING = ("transformers", "card")


def modes(asked: str, dtype: str) -> dict[str, tuple[str, str]]:
    """Engine and dtype of everything of ours, by name: `auto` in what was asked for, every other engine in `dtype`.

    OpenVINO computes once more in bfloat16, where that is another thing.
    """
    named = {engine: (engine, asked if engine == "auto" else dtype) for engine in ENGINES}
    return named if dtype == BFLOAT16 else named | {OPENVINO[BFLOAT16]: ("openvino", BFLOAT16)}


def offers(subject: Subject) -> list[Offer]:
    """`ours`, which is the engine that `auto` chooses, the same compiled, and `ours-NAME` for every other mode."""
    offered = []
    for name, (engine, dtype) in modes(subject.asked, subject.dtype).items():
        if subject.shared and engine == "packed":
            continue  # what auto is for such a shape; a second copy of its weights would tell nothing
        load = functools.partial(_Ours, engine=engine, dtype=dtype)
        offered.append(Offer(AUTOMATIC if name == "auto" else f"{AUTOMATIC}-{name}", f"engine {name}", load))
    return [*offered, Offer(f"{AUTOMATIC}-compile", "engine auto, compiled", _compiled)]


def scorer(
    subject: Subject,
    engine: str,
    *,
    dtype: str | None = None,
    compile: bool = False,  # noqa: A002  load_scorer's name
) -> CrossEncoder:
    """The product's scorer of the subject with one of its engines, in the subject's dtype unless another is named.

    Raises ConfigurationError.
    """
    if subject.shared and engine in _BORROWING:
        from sidecar.scoring.cross_encoder import CrossEncoder

        return CrossEncoder(subject.checkpoint, engine=choose_engine(subject.checkpoint, engine, batch_size=128))
    loaded = load_scorer(
        str(subject.directory), device=subject.device, dtype=dtype or subject.dtype, engine=engine, compile=compile
    )
    return cast("CrossEncoder", loaded)


class _Ours:
    """Scores a query as the product does; `about` names the engine, for `auto` has chosen one."""

    def __init__(
        self,
        subject: Subject,
        *,
        engine: str,
        dtype: str | None = None,
        compile: bool = False,  # noqa: A002
    ) -> None:
        from sidecar.scoring.packed.engine import PackedEngine

        self._scorer = scorer(subject, engine, dtype=dtype, compile=compile)
        if isinstance(self._scorer.engine, PackedEngine) and self._scorer.engine.compiled is not None:
            self._scorer.engine.compiled.wait()
        self.about = f"rerank-sidecar, engine {self._scorer.engine.name}{', compiled' if compile else ''}"

    def __call__(self, query: Query) -> list[float]:
        return [found.value for found in self._scorer.score(query.text, query.passages)]


def _compiled(subject: Subject) -> Score:
    if not subject.device.startswith("cuda"):
        raise ConfigurationError("Compiling pays on a GPU; here it would take most of the time there is.")
    return _Ours(subject, engine="auto", compile=True)
