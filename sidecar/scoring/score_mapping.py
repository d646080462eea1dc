"""Map a raw score to one between 0 and 1, for people and APIs. The order always comes from the raw scores."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mapping:
    """Rises with the score: `sigmoid(a * score + b)`, or `(1 + score) / 2` of an uncalibrated `cosine`.

    With `relevance` the score is between 0 and 1 already, as a remote scorer returned it.

    Only if `calibrated` is True can the result be read as a probability of relevance. It rises strictly as far as
    double precision can show: a sigmoid is exactly 1 from 37 on (in single precision already from 17 on), so nothing is
    ever ordered by it.
    """

    a: float = 1.0
    b: float = 0.0
    calibrated: bool = False
    cosine: bool = False
    relevance: bool = False

    def __call__(self, score: float) -> float:
        """Map one raw score into [0, 1]; it never overflows."""
        if self.relevance:
            return min(1.0, max(0.0, score))
        if self.cosine:
            return min(1.0, max(0.0, (1 + score) / 2))
        return sigmoid(self.a * score + self.b)


def sigmoid(x: float) -> float:
    """Compute 1 / (1 + e^-x) in double precision, for every finite x."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
