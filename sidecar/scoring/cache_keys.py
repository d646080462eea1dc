"""Keys for stored scores: the model, the query and the passage, as one short key. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sidecar.core.candidates import Passage


def pair_keys(model: str, query: str, passages: Sequence[Passage]) -> list[bytes]:
    """Return a key of 16 bytes for each pair; equal keys mean the same model, query and passage.

    `model` has to distinguish checkpoints: a `fingerprint`, or another identifier.
    """
    head = hashlib.blake2b(digest_size=16)
    for part in (model, query):
        add_text(head, part)
    keys = []
    for passage in passages:
        digest = head.copy()
        add_text(digest, passage.title)
        add_text(digest, passage.text)
        keys.append(digest.digest())
    return keys


def add_text(digest: hashlib.blake2b, text: str) -> None:
    """Digest a text with its length, so that two different lists of texts never give the same bytes."""
    data = text.encode("utf-8", "surrogatepass")
    digest.update(len(data).to_bytes(8, "big"))
    digest.update(data)
