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
    """A model that gives one score to each passage, in the order given; higher is better.

    A cross-encoder gives logits, a bi-encoder cosines. Every value is finite: NaN or infinity raises
    `errors.NonFiniteScore` and is never returned.
    """

    @property
    def name(self) -> str:
        """Return the model's name as the user gave it: a preset, a hub name or a directory."""
        ...

    @property
    def engine_name(self) -> str:
        """Return the name of the engine: `transformers`, `openvino` …."""
        ...

    @property
    def mapping(self) -> Mapping:
        """Return the mapping from a raw score to one between 0 and 1; it says whether it is calibrated."""
        ...

    @property
    def manifest(self) -> Manifest:
        """Return the manifest, which says how the model reads queries and passages."""
        ...

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        """Score non-empty passages; an empty list gives an empty list."""
        ...
