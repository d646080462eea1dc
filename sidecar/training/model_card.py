"""Write the README.md of a trained model: its data, its recipe and its result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from sidecar.training.curve import CURVE
from sidecar.training.development import MEASURE, Gain


@dataclass(frozen=True, slots=True)
class Card:
    """A model card. `data` and `recipe` are rows of two columns; `figures` are the development measures by step.

    `licences` is the user's text on the data; `first_stage` is the measure of the lists in their given order.
    `started_from` is the adapter that was trained further, `has_curve` True if the curve is drawn beside the card.
    """

    name: str
    base: str
    adapted: bool
    command: str
    data: Mapping[str, str]
    licences: Sequence[str]
    recipe: Mapping[str, object]
    versions: Mapping[str, str]
    steps: int
    best_step: int
    figure: float | None
    first_stage: float | None
    figures: Mapping[int, float]
    gain: Gain | None = None
    started_from: str | None = None
    has_curve: bool = False

    def __str__(self) -> str:
        """Return the text, with the front matter that model hubs read."""
        kind = "A LoRA adapter" if self.adapted else "A reranker"
        unlicensed = "\n- not stated: find out before you pass this model on"
        return "\n".join(
            [
                "---",
                f"base_model: {json.dumps(self.base)}",
                *(["library_name: peft"] if self.adapted else ["library_name: transformers"]),
                "pipeline_tag: text-ranking",
                "tags: [reranker, rerank-sidecar]",
                "---",
                "",
                f"# {self.name}",
                "",
                f"{kind} on {self.base}, trained by rerank-sidecar{self._start()}.",
                "How it reads pairs is in `sidecar.json`.",
                "",
                "## Result",
                "",
                self._result(),
                *self._compared(),
                "",
                "## Data",
                "",
                *_table(self.data),
                "",
                "Licences of the data:" + ("".join(f"\n- {one}" for one in self.licences) or unlicensed),
                "",
                "## Recipe",
                "",
                *_table(self.recipe),
                "",
                "```console",
                f"$ {self.command}",
                "```",
                "",
                ", ".join(f"{name} {version}" for name, version in self.versions.items()),
                "",
            ]
        )

    def _start(self) -> str:
        return "" if self.started_from is None else f" from the adapter {self.started_from}"

    def _compared(self) -> list[str]:
        lines = []
        if self.gain is not None:
            lines += ["", f"{self.gain}."]
            if self.gain.lost_to:
                lines += ["", f"**It ranks worse than {' and '.join(self.gain.lost_to)}.**"]
        return [*lines, "", f"![Learning curve]({CURVE})"] if self.has_curve else lines

    def _result(self) -> str:
        if self.figure is None or self.first_stage is None:
            measured = "" if self.gain is not None else " Nothing was measured: no development lists were given."
            return f"Weights of step {self.best_step}, the last.{measured}"
        history = ", ".join(f"{figure:.4f} (step {step})" for step, figure in self.figures.items())
        return (
            f"{MEASURE} on the development lists: {self.figure:.4f}, the first stage's order {self.first_stage:.4f}. "
            f"Weights of step {self.best_step} of {self.steps}, the best measured on these lists, which makes the "
            f"figure a little too good.\n\nMeasured: {history}."
        )


def _table(rows: Mapping[str, object]) -> list[str]:
    return ["| | |", "| --- | --- |", *(f"| {name} | {_cell(value)} |" for name, value in rows.items())]


def _cell(value: object) -> str:
    """Return a text unchanged, anything else as JSON; a bar would end the cell, so it is escaped."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text.replace("|", "\\|")
