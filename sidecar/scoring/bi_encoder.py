"""Score a query with each passage separately: the cosine of their embeddings."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from sidecar.core.candidates import Passage, Score
from sidecar.scoring.checkpoints.architecture import check_positions
from sidecar.scoring.checkpoints.checkpoint import Checkpoint
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.engines.base import Embedder
from sidecar.scoring.engines.select import choose_embedder
from sidecar.scoring.prompt import Prompt, Tokens
from sidecar.scoring.score_mapping import Mapping
from sidecar.scoring.tokenized import check_finite


@dataclass(frozen=True, slots=True)
class Embedding:
    """A passage's unit vector, whether the model read only part of the passage, and how many tokens it read."""

    vector: np.ndarray
    truncated: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class Texts:
    """A query tokenised for a bi-encoder: its ids, and for each passage the text and its ids or cached embedding."""

    query: Tokens
    texts: Sequence[str]
    rows: Sequence[Tokens | Embedding]

    @property
    def lengths(self) -> Sequence[int]:
        """Return the tokens of each passage; 0 if its embedding is cached."""
        return [len(row) if isinstance(row, Tokens) else 0 for row in self.rows]

    def part(self, start: int, stop: int) -> Texts:
        """Return some of the passages, with the query."""
        return Texts(self.query, self.texts[start:stop], self.rows[start:stop])


class BiEncoder:
    """A sentence encoder as a Scorer. Its scores are cosines, in [-1, 1].

    A passage is read as its title, a space and its text. Embeddings of the last `cache_size` passages are kept (384
    float32 values are 1.5 kB each), since the same passages recur from query to query; 0 keeps none. Safe to use from
    several threads.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, engine: Embedder | None = None, batch_size: int = 128, cache_size: int = 16384
    ) -> None:
        self.checkpoint = checkpoint
        traits = checkpoint.traits
        check_positions(checkpoint.manifest, traits.positions, traits.architecture)
        self.prompt = Prompt(checkpoint.tokenizer, checkpoint.manifest, segments=traits.segments)
        self.engine = engine or choose_embedder(checkpoint, "transformers", batch_size=batch_size)
        self._cache = EmbeddingCache(cache_size)

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
        """Return the manifest, which says how the model reads texts."""
        return self.checkpoint.manifest

    @property
    def mapping(self) -> Mapping:
        """Return the mapping from a raw score to one between 0 and 1."""
        return self.checkpoint.manifest.mapping

    def instructed(self, instruction: str) -> BiEncoder:
        """Return the same scorer, with the same cache, with another instruction in its queries."""
        other = copy(self)
        other.prompt = self.prompt.instructed(instruction)
        return other

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        """Return one cosine for each passage, in the order given. Raises NonFiniteScore."""
        return self.score_all([self.read(query, passages)])[0]

    def read(self, query: str, passages: Sequence[Passage]) -> Texts:
        """Tokenise the query, and each passage whose embedding is not cached."""
        [question] = self.prompt.texts([self.prompt.query(query)])
        # Passages with the same text have the same ids; only what was cut before may differ.
        texts = {passage: self.prompt.document(passage) for passage in passages}
        rows: dict[str, Tokens | Embedding] = {
            text: row for text in texts.values() if (row := self._cache.get(text)) is not None
        }
        unknown = {text: passage for passage, text in texts.items() if text not in rows}
        rows.update(zip(unknown, self.prompt.passages(list(unknown.values())), strict=True))
        ordered = [texts[passage] for passage in passages]
        return Texts(question, ordered, [rows[text] for text in ordered])

    def score_all(self, tokenized: Sequence[Texts]) -> list[list[Score]]:
        """Return the cosines of several queries' passages; each text is embedded once. Raises NonFiniteScore."""
        wanted = {
            text: row
            for one in tokenized
            for text, row in zip(one.texts, one.rows, strict=True)
            if isinstance(row, Tokens)
        }
        vectors = self.engine.vectors(list(wanted.values()))
        fresh = {
            text: Embedding(vector, row.truncated, len(row))
            for (text, row), vector in zip(wanted.items(), vectors, strict=True)
        }
        for text, embedding in fresh.items():
            self._cache.put(text, embedding)
        # Each query is embedded alone: in a batch with other texts its vector would differ slightly each time.
        questions = [self.engine.vectors([one.query])[0] for one in tokenized]
        return [self._cosines(one, fresh, question) for one, question in zip(tokenized, questions, strict=True)]

    def _cosines(self, one: Texts, fresh: dict[str, Embedding], question: np.ndarray) -> list[Score]:
        if not one.rows:
            return []
        rows = [
            row if isinstance(row, Embedding) else fresh[text] for text, row in zip(one.texts, one.rows, strict=True)
        ]
        # Row by row: the rounding of a matrix product depends on the number of rows.
        cosines: list[float] = (np.stack([row.vector for row in rows]) * question).sum(axis=1).tolist()
        check_finite(cosines, self.name)
        asked = len(one.query)
        return [
            Score(cosine, row.truncated, tokens=asked + row.tokens) for cosine, row in zip(cosines, rows, strict=True)
        ]


class EmbeddingCache:
    """The embeddings used last, at most `size` of them, by a hash of their text."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._rows: OrderedDict[bytes, Embedding] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, text: str) -> Embedding | None:
        """Look up the embedding of a text and mark it as used last; None if it is not kept."""
        key = _digest(text)
        with self._lock:
            row = self._rows.get(key)
            if row is not None:
                self._rows.move_to_end(key)
            return row

    def put(self, text: str, row: Embedding) -> None:
        """Keep an embedding; the least recently used one is removed if there are too many."""
        with self._lock:
            self._rows[_digest(text)] = row
            if len(self._rows) > self.size:
                self._rows.popitem(last=False)


def _digest(text: str) -> bytes:
    # Broken JSON can contain lone surrogates; here they are text like any other.
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
