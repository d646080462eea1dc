"""Scores a query with each passage apart: mean-pooled, normalised embeddings and their cosine."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sidecar.candidates import Passage, Score
from sidecar.scoring.architecture import check_length, reads_segments
from sidecar.scoring.checkpoint import Checkpoint
from sidecar.scoring.cross_encoder import check_finite, pad
from sidecar.scoring.manifest import Manifest
from sidecar.scoring.mapping import Mapping
from sidecar.scoring.packing import plan_batches
from sidecar.scoring.prompt import Prompt, Tokens

# Padded tokens in one batch, as for the cross-encoder.
MAX_TOKENS = {"cpu": 2048}
MAX_TOKENS_GPU = 65536


class BiEncoder:
    """A sentence encoder as a Scorer. Its scores are cosines, in [-1, 1].

    A passage is read as its title, a space and its text. Embeddings of the last `cache_size` passages are kept (384
    float32 values are 1.5 kB each), since passages come back from query to query; 0 keeps none. Safe to use from
    several threads.
    """

    def __init__(self, checkpoint: Checkpoint, *, batch_size: int = 128, cache_size: int = 16384) -> None:
        self.checkpoint = checkpoint
        check_length(checkpoint.manifest, checkpoint.model)
        segments = reads_segments(checkpoint.model)
        self.prompt = Prompt(checkpoint.tokenizer, checkpoint.manifest, segments=segments)
        self.batch_size = batch_size
        self.device = checkpoint.model.device
        self.max_tokens = MAX_TOKENS.get(self.device.type, MAX_TOKENS_GPU)
        self._cache = EmbeddingCache(cache_size)

    @property
    def name(self) -> str:
        """What the user called the model."""
        return self.checkpoint.name

    @property
    def manifest(self) -> Manifest:
        """How the model reads texts."""
        return self.checkpoint.manifest

    @property
    def mapping(self) -> Mapping:
        """What makes a score between 0 and 1 of a raw one."""
        return self.checkpoint.manifest.mapping

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        """One cosine for each passage, in the order given. Raises NonFiniteScore."""
        if not passages:
            return []
        [question] = self.embed(self.prompt.texts([self.prompt.query(query)]))
        # Two passages that are written alike are read alike, but for what was cut before.
        texts = {passage: self.prompt.document(passage) for passage in passages}
        known = {text: row for text in texts.values() if (row := self._cache.get(text)) is not None}
        unknown = {text: passage for passage, text in texts.items() if text not in known}
        tokens = self.prompt.passages(list(unknown.values()))
        for text, read, vector in zip(unknown, tokens, self.embed(tokens), strict=True):
            known[text] = Embedding(vector, read.truncated)
            self._cache.put(text, known[text])
        rows = [known[texts[passage]] for passage in passages]
        cosines: list[float] = (torch.stack([row.vector for row in rows]) @ question).tolist()
        check_finite(cosines, self.name)
        return [Score(cosine, row.truncated) for cosine, row in zip(cosines, rows, strict=True)]

    @torch.inference_mode()
    def embed(self, rows: Sequence[Tokens]) -> list[torch.Tensor]:
        """One unit vector (float32, on the CPU) for each text, in the order given."""
        pad_id = self.checkpoint.tokenizer.pad_token_id or 0
        vectors: dict[int, torch.Tensor] = {}
        for batch in plan_batches([len(r) for r in rows], max_pairs=self.batch_size, max_tokens=self.max_tokens):
            inputs = pad([rows[index] for index in batch], pad_id, self.device)
            hidden = self.checkpoint.model(**inputs).last_hidden_state.float()
            mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.device)
            means = (hidden * mask).sum(1) / mask.sum(1)
            # Copied row by row: a view would keep the whole batch alive as long as one row is cached.
            units = torch.nn.functional.normalize(means, dim=1).cpu()
            vectors.update({index: row.clone() for index, row in zip(batch, units, strict=True)})
        return [vectors[index] for index in range(len(rows))]


@dataclass(frozen=True, slots=True)
class Embedding:
    """A passage's unit vector, and whether the model read only part of the passage."""

    vector: torch.Tensor
    truncated: bool


class EmbeddingCache:
    """The embeddings used last, at most `size` of them, by a hash of their text."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._rows: OrderedDict[bytes, Embedding] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, text: str) -> Embedding | None:
        """Look up the embedding of a text, now the one used last; None if it is not kept."""
        key = _digest(text)
        with self._lock:
            row = self._rows.get(key)
            if row is not None:
                self._rows.move_to_end(key)
            return row

    def put(self, text: str, row: Embedding) -> None:
        """Keep an embedding; the one unused longest goes when there are too many."""
        with self._lock:
            self._rows[_digest(text)] = row
            if len(self._rows) > self.size:
                self._rows.popitem(last=False)


def _digest(text: str) -> bytes:
    # Lone surrogates come out of broken JSON and are text like any other here.
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
