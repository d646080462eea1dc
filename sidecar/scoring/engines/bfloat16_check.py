"""Measure how much bfloat16 changes a model's scores, on a few texts, some of which answer a question."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

from sidecar.core.candidates import Passage
from sidecar.scoring.prompt import Prompt

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
    """Return the largest difference between two engines' scores, in standard deviations of the exact engine's.

    Infinite if either gives NaN or infinity, or if the exact scores are all equal and the others differ.
    """
    truth, found = (_scores(checkpoint, engine) for engine in (exact, rounded))
    if not all(map(math.isfinite, (*truth, *found))):
        return math.inf
    furthest = max(abs(one - other) for one, other in zip(truth, found, strict=True))
    spread = statistics.pstdev(truth)
    return 0.0 if furthest == 0 else furthest / spread if spread else math.inf


def _scores(checkpoint: Checkpoint, engine: Any) -> list[float]:
    """Score the texts by an engine: logits, or cosines of its vectors."""
    prompt = Prompt(checkpoint.tokenizer, checkpoint.manifest, segments=checkpoint.traits.segments)
    passages = [Passage("", answer) for answer in ANSWERS]
    if checkpoint.manifest.kind != "bi-encoder":
        logits: list[float] = engine.logits([prompt.pairs(QUESTION, passages)])[0]
        return logits
    [question] = engine.vectors(prompt.texts([prompt.query(QUESTION)]))
    return [float(vector @ question) for vector in engine.vectors(prompt.passages(passages))]
