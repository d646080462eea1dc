"""A scorer process without a model: every passage scores 1, so the first stage's order stays.

    python -m benchmarks.identity_scorer

What a search through it costs is the sidecar's own time.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.candidates import Passage, Score
from sidecar.scoring.manifest import Manifest
from sidecar.scoring.mapping import Mapping
from sidecar.serving.scorer_process import run


class Identity:
    """Scores nothing, at once."""

    name = engine_name = "identity"
    mapping = Mapping()
    manifest = Manifest()

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        """Give each passage the same score."""
        del query
        return [Score(1.0)] * len(passages)


if __name__ == "__main__":
    run(lambda load: {name: Identity() for name in load.models})
