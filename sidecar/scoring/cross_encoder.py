"""Score a query with each passage together: a prompt writes and tokenises the pairs, an engine computes."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from sidecar.core.candidates import Passage, Score
from sidecar.core.errors import ModelError
from sidecar.scoring.checkpoints.architecture import check_positions
from sidecar.scoring.checkpoints.checkpoint import Checkpoint
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.engines.base import Engine
from sidecar.scoring.engines.select import choose_engine
from sidecar.scoring.prompt import Prompt
from sidecar.scoring.score_mapping import Mapping
from sidecar.scoring.tokenized import TokenizedPairs, check_finite


class CrossEncoder:
    """A sequence classifier with one output, as a Scorer. Its scores are float32 logits.

    `prompt` may be shared with other scorers; by default it is a new one. `engine` computes the scores; the default
    leaves the checkpoint unchanged and takes batches of at most `batch_size` pairs. Raises ModelError if the manifest
    does not fit the architecture.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        engine: Engine | None = None,
        prompt: Prompt | None = None,
        batch_size: int = 128,
    ) -> None:
        self.checkpoint = checkpoint
        traits = checkpoint.traits
        check_positions(checkpoint.manifest, traits.positions, traits.architecture)
        pooling = checkpoint.manifest.pooling
        if (pooling == "model") == traits.decoder:
            raise ModelError(
                f"Pooling {pooling!r} does not go with {traits.architecture}.",
                remedy="Decoders need last_token or last_slot, encoders model: correct the checkpoint's sidecar.json.",
            )
        if pooling == "model" and checkpoint.manifest.truncation == "body" and not traits.one_text:
            raise ModelError(
                f"Truncation 'body' does not go with {traits.architecture}, which needs its special tokens.",
                remedy="Use truncation joint in the checkpoint's sidecar.json.",
            )
        self.prompt = prompt or Prompt(checkpoint.tokenizer, checkpoint.manifest, segments=traits.segments)
        self.engine = engine or choose_engine(checkpoint, "transformers", batch_size=batch_size)

    @property
    def name(self) -> str:
        """Return the user's name of the model."""
        return self.checkpoint.name

    @property
    def engine_name(self) -> str:
        """Return the name of the engine: `transformers`, `openvino` …."""
        return self.engine.name

    @property
    def manifest(self) -> Manifest:
        """Return the manifest, which says how the model reads pairs."""
        return self.checkpoint.manifest

    @property
    def mapping(self) -> Mapping:
        """Return the mapping from a raw score to one between 0 and 1."""
        return self.checkpoint.manifest.mapping

    def instructed(self, instruction: str) -> CrossEncoder:
        """Return the same scorer with another instruction in its queries."""
        other = copy(self)
        other.prompt = self.prompt.instructed(instruction)
        return other

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        """Return one logit for each passage, in the order given. Raises NonFiniteScore."""
        return self.score_all([self.read(query, passages)])[0]

    def read(self, query: str, passages: Sequence[Passage]) -> TokenizedPairs:
        """Tokenise a query with each passage."""
        return TokenizedPairs(self.prompt.pairs(query, passages))

    def score_all(self, tokenized: Sequence[TokenizedPairs]) -> list[list[Score]]:
        """Return the logits of several queries' pairs, computed on the device together. Raises NonFiniteScore."""
        logits = self.engine.logits([one.rows for one in tokenized])
        return [
            [
                Score(value, row.truncated, tokens=len(row))
                for value, row in zip(check_finite(values, self.name), one.rows, strict=True)
            ]
            for values, one in zip(logits, tokenized, strict=True)
        ]
