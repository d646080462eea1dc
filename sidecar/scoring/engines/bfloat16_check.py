"""How far bfloat16 moves a model's scores, on a few texts of which some answer a question and some don't."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

from sidecar.core.candidates import Passage
from sidecar.core.errors import NonFiniteScore

if TYPE_CHECKING:
    from sidecar.scoring.checkpoints.checkpoint import Checkpoint

QUESTION = "how do bees make honey"
ANSWERS = (
    "Honey bees collect nectar from flowers, and turn it into honey in the hive.",
    "Bees make honey: workers pass nectar from mouth to mouth and fan it with their wings until it thickens.",
    "A hive has one queen, and tens of thousands of workers.",
    "Beekeepers take honey from the hive in late summer.",
    "Maple syrup is made by boiling the sap of a tree until most of its water is gone.",
    "The bus to the airport leaves every twenty minutes.",
    "How a compiler turns source text into machine code.",
    "Interest on the loan is due at the end of each month.",
)


def deviation(checkpoint: Checkpoint, exact: Any, rounded: Any) -> float:
    """How far an engine's scores are from another's at most, in standard deviations of the latter's.

    Infinite where either gives no numbers, or the exact scores are all the same and the others differ.
    """
    try:
        truth, found = (_scores(checkpoint, engine) for engine in (exact, rounded))
    except NonFiniteScore:
        return math.inf
    furthest = max(abs(one - other) for one, other in zip(truth, found, strict=True))
    spread = statistics.pstdev(truth)
    return 0.0 if furthest == 0 else furthest / spread if spread else math.inf


def _scores(checkpoint: Checkpoint, engine: Any) -> list[float]:
    from sidecar.scoring.bi_encoder import BiEncoder
    from sidecar.scoring.cross_encoder import CrossEncoder

    passages = [Passage("", answer) for answer in ANSWERS]
    if checkpoint.manifest.kind == "bi-encoder":
        found = BiEncoder(checkpoint, engine=engine, cache_size=0).score(QUESTION, passages)
    else:
        found = CrossEncoder(checkpoint, engine=engine).score(QUESTION, passages)
    return [score.value for score in found]
