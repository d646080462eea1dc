"""Engines: token ids in, one number or one vector for each out. `select` chooses the engine.

An engine knows neither texts nor queries. It owns its device, and is called by one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from sidecar.scoring.prompt import Tokens

if TYPE_CHECKING:
    import numpy as np


class Engine(Protocol):
    """A cross-encoder's forward pass."""

    @property
    def name(self) -> str:
        """Return the name in settings, bench and metrics: `transformers`, `packed`, `openvino-bfloat16` …."""
        ...

    def logits(self, groups: Sequence[Sequence[Tokens]]) -> list[list[float]]:
        """Return one float32 logit for each pair, in the order given.

        The pairs of a group share their query, and so their first ids; all groups go to the device together.
        Nothing is checked here: NaN is returned as NaN.
        """
        ...


class Embedder(Protocol):
    """A bi-encoder's forward pass."""

    @property
    def name(self) -> str:
        """Return the name in settings, bench and metrics."""
        ...

    def vectors(self, rows: Sequence[Tokens]) -> list[np.ndarray]:
        """Return one unit vector (float32, with its own memory) for each text, in the order given."""
        ...


def in_groups(values: Sequence[float], groups: Sequence[Sequence[object]]) -> list[list[float]]:
    """Cut a flat list into lists as long as the groups."""
    rest: Iterator[float] = iter(values)
    return [[next(rest) for _ in group] for group in groups]
