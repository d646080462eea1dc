"""Draw the learning curve of a training: the loss and, where it was measured, nDCG@10, by step."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from sidecar.training.development import MEASURE, Gain

CURVE = "learning-curve.svg"


class Measured(Protocol):
    """The data of a curve: losses and figures by step, and the gain."""

    @property
    def losses(self) -> Mapping[int, float]:
        """Return mean losses by step."""
        ...

    @property
    def figures(self) -> Mapping[int, float]:
        """Return the figures of the development lists by step."""
        ...

    @property
    def gain(self) -> Gain | None:
        """Return the figures to compare with."""
        ...


def draw(outcome: Measured, path: Path, tell: Callable[[str], None]) -> bool:
    """Draw the curve as SVG, and return True; without matplotlib `tell` is called instead."""
    if not outcome.losses:
        return False
    if importlib.util.find_spec("matplotlib") is None:
        tell("No learning curve is drawn: matplotlib is not installed (pip install 'rerank-sidecar[bench]').")
        return False
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # Without a date and with fixed ids, the same training draws the same file.
    with mpl.rc_context({"svg.hashsalt": "rerank-sidecar", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 3.5), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(list(outcome.losses), list(outcome.losses.values()), color="#64748b", label="loss")
        axes.set_xlabel("step")
        axes.set_ylabel("loss, mean of the last batches")
        if outcome.figures or outcome.gain is not None:
            _figures(axes.twinx(), outcome)
        figure.savefig(path, metadata={"Date": None})
    return True


def _figures(axes: Any, outcome: Measured) -> None:
    steps, gain = outcome.figures, outcome.gain
    if steps:
        axes.plot(list(steps), list(steps.values()), color="#c2410c", marker="o", label=MEASURE)
    elif gain is not None:
        axes.plot([max(outcome.losses)], [gain.trained], color="#c2410c", marker="o", linestyle="none", label=MEASURE)
    before = {} if gain is None else {"the order that came in": gain.first_stage, "where it started": gain.start}
    for (label, value), style in zip(before.items(), ("--", ":"), strict=True):
        if value is not None:
            axes.axhline(value, color="#c2410c", linestyle=style, linewidth=1, label=label)
    axes.set_ylim(0, 1)
    axes.set_ylabel(MEASURE)
    axes.legend(loc="center right", fontsize=8)
