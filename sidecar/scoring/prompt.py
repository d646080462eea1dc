"""From a query and its passages to token ids. Knows the tokenizer, not the model."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.candidates import Passage
from sidecar.scoring.manifest import Manifest

# Characters kept for each token of the limit. Llama-3's longest token is 128 spaces, no other tokenizer in use has a
# longer one, so 228 tokens never need more than 29,184 characters: cutting a text there leaves its first 228 tokens
# alone. Only a text whose tokens swallow more than that (a tokenizer that drops characters, such as BERT's with
# thousands of control characters or one "word" of thousands of letters read as [UNK]) can come out shorter.
CHARACTERS_PER_TOKEN = 128

# The authors' scripts cut a document at their limit less 3 tokens.
KEPT_BACK = 3


@dataclass(frozen=True, slots=True)
class Tokens:
    """One input of the model. `types` are segment ids, None where the architecture has none."""

    ids: list[int]
    types: list[int] | None = None

    def __len__(self) -> int:
        return len(self.ids)


class Prompt:
    """Writes and tokenises pairs as the manifest says.

    The names of special tokens inside a text are text like any other, so no document can end its own pair. Time
    and memory are bounded by the token limit, however long a text is. Safe to use from several threads: a
    tokenizer keeps its truncation as state, so one call goes at a time.
    """

    def __init__(self, tokenizer: Any, manifest: Manifest) -> None:
        self.tokenizer = tokenizer
        self.manifest = manifest
        self._lock = threading.Lock()

    def pairs(self, query: str, passages: Sequence[Passage]) -> list[Tokens]:
        """Token ids of each pair, at most `max_length` of them, in the order given."""
        if not passages:
            return []
        with self._lock:
            return (
                self._separate(query, passages)
                if self.manifest.truncation == "separate"
                else self._joint(query, passages)
            )

    def texts(self, texts: Sequence[str]) -> list[Tokens]:
        """Token ids of single texts, at most `max_length` of them, special tokens included."""
        with self._lock:
            return self._tokens([self._cut(text) for text in texts], max_length=self.manifest.max_length)

    def query(self, query: str) -> str:
        """Write the query as the model reads it, cut to what the token limit can hold."""
        return self.manifest.write_query(self._cut(query))

    def document(self, passage: Passage) -> str:
        """Write the passage as the model reads it, cut to what the token limit can hold."""
        return self.manifest.write_document(Passage(self._cut(passage.title), self._cut(passage.text)))

    def _cut(self, text: str) -> str:
        return text[: self.manifest.max_length * CHARACTERS_PER_TOKEN]

    def _joint(self, query: str, passages: Sequence[Passage]) -> list[Tokens]:
        documents = [self.document(passage) for passage in passages]
        return self._tokens([self.query(query)] * len(documents), documents, max_length=self.manifest.max_length)

    def _separate(self, query: str, passages: Sequence[Passage]) -> list[Tokens]:
        limits = self.manifest.query_max_length, self.manifest.document_max_length - KEPT_BACK
        [head] = self._tokens([self.query(query)], max_length=limits[0], add_special_tokens=False)
        tails = self._tokens([self.document(p) for p in passages], max_length=limits[1], add_special_tokens=False)
        bos = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        return [Tokens(bos + head.ids + bos + tail.ids) for tail in tails]

    def _tokens(self, *texts: list[str], max_length: int, add_special_tokens: bool = True) -> list[Tokens]:
        encoded = self.tokenizer(
            *texts,
            truncation="longest_first",
            max_length=max_length,
            add_special_tokens=add_special_tokens,
            split_special_tokens=True,
            padding=False,
            return_attention_mask=False,
            verbose=False,
        )
        types = encoded.get("token_type_ids") or [None] * len(encoded["input_ids"])
        return [Tokens(*row) for row in zip(encoded["input_ids"], types, strict=True)]
