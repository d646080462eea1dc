"""From a model's raw score to what clients read: a number between 0 and 1, written so that all of them can. Pure."""

from __future__ import annotations

import math

Calibration = tuple[float, float]


def probability(score: float, calibration: Calibration | None) -> float:
    """Map a raw score to 0–1, strictly rising but for rounding: `sigmoid(a·score + b)`.

    Without a calibration it is `sigmoid(score)`: right in order, and no probability.
    """
    slope, offset = calibration or (1.0, 0.0)
    value = slope * score + offset
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    grown = math.exp(value)
    return grown / (1 + grown)


def plain(value: float) -> float:
    """Round to nine significant digits: OpenSearch reads a literal of 19 characters or more as no Double, and fails.

    Written as JSON the result is never an integer and at most 17 characters long.
    """
    return float(f"{value:.9g}")
