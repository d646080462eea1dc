"""Scoring: from a query and its passages to one `Score` each. Beside training, the only package that knows torch.

Importing this package loads no torch; `sidecar.scoring.loading.load_scorer` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sidecar.core.candidates import Passage, Score
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.score_mapping import Mapping
from sidecar.scoring.tokenized import TokenizesAndScores

__all__ = ["Scorer"]


class Scorer(TokenizesAndScores, Protocol):
    """One score for each passage, in the order given; higher is better. In one step (`score`) or in two.

    A cross-encoder gives logits, a bi-encoder cosines. Every value is finite: NaN or infinity is raised as
    `errors.NonFiniteScore`, never returned.
    """

    @property
    def name(self) -> str:
        """The name a person would give the model: a preset, a hub name or a directory."""
        ...

    @property
    def engine_name(self) -> str:
        """The engine that computes: `transformers`, `openvino` …."""
        ...

    @property
    def mapping(self) -> Mapping:
        """The mapping from a raw score to one between 0 and 1, and whether somebody calibrated it."""
        ...

    @property
    def manifest(self) -> Manifest:
        """How the model reads queries and passages."""
        ...

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        """Score non-empty passages; an empty list gives an empty list."""
        ...
