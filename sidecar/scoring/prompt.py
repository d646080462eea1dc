"""Write a query and its passages as token ids. Knows the tokenizer, not the model."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from msgspec import structs

from sidecar.core.candidates import Passage
from sidecar.core.errors import ModelError
from sidecar.scoring.checkpoints.manifest import Manifest

# Characters kept for each token of the limit. Llama-3's longest token is 128 spaces, and no other tokenizer in use has
# a longer one, so 228 tokens never need more than 29,184 characters: cutting a text there leaves its first 228 tokens
# unchanged. Only a tokenizer that drops characters (such as BERT's with thousands of control characters, or one "word"
# of thousands of letters read as [UNK]) can give fewer tokens.
CHARACTERS_PER_TOKEN = 128

# The authors' scripts cut a document at their limit minus 3 tokens.
KEPT_BACK = 3

# The fewest tokens that prefix and suffix must leave for the body.
LEAST_BODY = 8


# Half of a surrogate pair, which broken JSON can contain: a tokenizer refuses it.
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Tokens:
    """One input of the model. `types` are segment ids, None if the architecture has none.

    `truncated` says that some of the passage's tokens are not among the ids.
    """

    ids: list[int]
    types: list[int] | None = None
    truncated: bool = False

    def __len__(self) -> int:
        return len(self.ids)


class Prompt:
    """Writes and tokenises pairs as the manifest says.

    The names of special tokens inside a text are ordinary text, so no document can end its own pair. The token limit
    bounds time and memory, however long a text is. Safe to use from several threads: a tokenizer keeps its truncation
    as state, so one call tokenises at a time.

    `segments` False leaves segment ids out, for models that take none. Raises ModelError if prefix and suffix fill
    `max_length`.
    """

    def __init__(self, tokenizer: Any, manifest: Manifest, *, segments: bool = True) -> None:
        self.tokenizer = tokenizer
        self.manifest = manifest
        self._backend = tokenizer.backend_tokenizer
        self._has_types = segments and "token_type_ids" in tokenizer.model_input_names
        self._lock = threading.Lock()
        self._prefix, self._suffix = self._control(manifest.prefix), self._control(manifest.suffix)
        self._between = self._control(manifest.between)
        self._body_room = manifest.max_length - len(self._prefix) - len(self._suffix)
        if self._body_room < LEAST_BODY + len(self._between):
            raise ModelError(
                f"max_length {manifest.max_length} leaves no room between a prefix of {len(self._prefix)} and a suffix "
                f"of {len(self._suffix)} tokens.",
                remedy="Raise max_length.",
            )

    def instructed(self, instruction: str) -> Prompt:
        """Return the same prompt, with the same tokenizer and lock, with another instruction. Raises ValueError."""
        other = copy(self)
        other.manifest = structs.replace(self.manifest, instruction=instruction)
        return other

    def pairs(self, query: str, passages: Sequence[Passage]) -> list[Tokens]:
        """Return the token ids of each pair, at most `max_length` of them, in the order given."""
        if not passages:
            return []
        ways = {"joint": self._joint, "separate": self._separate, "body": self._body, "sides": self._sides}
        write = ways[self.manifest.truncation]
        with self._lock:
            tokens = write(self.query(query), [self.document(passage) for passage in passages])
        return [self._marked(passage, row) for passage, row in zip(passages, tokens, strict=True)]

    def passages(self, passages: Sequence[Passage]) -> list[Tokens]:
        """Return the token ids of single passages, at most `max_length` of them, special tokens included."""
        tokens = self.texts([self.document(passage) for passage in passages])
        return [self._marked(passage, row) for passage, row in zip(passages, tokens, strict=True)]

    def texts(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the token ids of single texts, at most `max_length` of them, special tokens included."""
        room = self.manifest.max_length - self._backend.num_special_tokens_to_add(is_pair=False)
        with self._lock:
            rows = self._encode([self._cut(text) for text in texts])
            self._limit(self.manifest.max_length)
            return [self._tokens(self._backend.post_process(row), truncated=len(row) > room) for row in rows]

    def room(self, query: str, title: str) -> int:
        """Return how many tokens of a passage's text fit with the query and the title; 0 or less if none do."""
        empty = Passage(title, "")
        if self.manifest.kind == "bi-encoder":
            return self.manifest.max_length - len(self.passages([empty])[0])
        if self.manifest.truncation == "separate":
            return self.manifest.document_max_length - KEPT_BACK - len(self.offsets(self.document(empty)))
        return self.manifest.max_length - len(self.pairs(query, [empty])[0])

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Return the position of each token in a text: its first character, and the one after its last."""
        with self._lock:
            found: list[tuple[int, int]] = self._encode([_LONE_SURROGATE.sub("\ufffd", text)])[0].offsets
        return found

    def query(self, query: str) -> str:
        """Write the query as the model reads it, cut to the characters that the token limit can hold."""
        return self.manifest.write_query(self._cut(query))

    def document(self, passage: Passage) -> str:
        """Write the passage as the model reads it, cut to the characters that the token limit can hold."""
        return self.manifest.write_document(Passage(self._cut(passage.title), self._cut(passage.text)))

    def _cut(self, text: str) -> str:
        return _LONE_SURROGATE.sub("\ufffd", text[: self.characters])

    @property
    def characters(self) -> int:
        """Return how many characters of a title or text are read at most."""
        return self.manifest.max_length * CHARACTERS_PER_TOKEN

    def _marked(self, passage: Passage, tokens: Tokens) -> Tokens:
        """Mark the passage as truncated if it was cut before it was tokenised."""
        cut = max(len(passage.title), len(passage.text.rstrip())) > self.characters
        return replace(tokens, truncated=True) if cut else tokens

    def _joint(self, query: str, documents: list[str]) -> list[Tokens]:
        [head], tails = self._encode([query]), self._encode(documents)
        self._limit(self.manifest.max_length)
        tokens = []
        for tail in tails:
            pair = self._backend.post_process(head, tail)
            # If the pair was cut, counting its tokens shows which side lost some.
            full = len(pair) == self.manifest.max_length
            tokens.append(self._tokens(pair, truncated=full and pair.sequence_ids.count(1) < len(tail)))
        return tokens

    def _separate(self, query: str, documents: list[str]) -> list[Tokens]:
        limits = self.manifest.query_max_length, self.manifest.document_max_length - KEPT_BACK
        [head], tails = self._encode([query]), self._encode(documents)
        bos = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        start = [*bos, *head.ids[: limits[0]], *bos]
        return [Tokens([*start, *tail.ids[: limits[1]]], truncated=len(tail) > limits[1]) for tail in tails]

    def _body(self, query: str, documents: list[str]) -> list[Tokens]:
        bodies = self._encode([query + document for document in documents])
        room = self._body_room
        return [Tokens([*self._prefix, *body.ids[:room], *self._suffix], truncated=len(body) > room) for body in bodies]

    def _sides(self, query: str, documents: list[str]) -> list[Tokens]:
        [head], tails = self._encode([query]), self._encode(documents)
        # mxbai-rerank-v2's code leaves a query three quarters of the room, and the document the rest.
        start = [*head.ids[: self._body_room * 3 // 4], *self._between]
        room = self._body_room - len(start)
        return [
            Tokens([*self._prefix, *start, *tail.ids[:room], *self._suffix], truncated=len(tail) > room)
            for tail in tails
        ]

    def _control(self, text: str) -> list[int]:
        """Tokenise a text of the manifest, in which the names of control tokens become control tokens."""
        self._backend.no_padding()  # a saved tokenizer may pad to its own length, as MiniLM's to 128
        self._backend.no_truncation()
        self._backend.encode_special_tokens = False
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def _encode(self, texts: list[str]) -> list[Any]:
        """Tokenise whole texts without special tokens, to know their lengths before anything is cut."""
        self._backend.no_padding()
        self._backend.no_truncation()
        self._backend.encode_special_tokens = True
        encoded: list[Any] = self._backend.encode_batch(texts, add_special_tokens=False)
        return encoded

    def _limit(self, max_length: int) -> None:
        self._backend.enable_truncation(max_length, direction=self.tokenizer.truncation_side)

    def _tokens(self, encoding: Any, *, truncated: bool) -> Tokens:
        return Tokens(encoding.ids, encoding.type_ids if self._has_types else None, truncated)
