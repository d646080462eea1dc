"""Groups by hand, for tests."""

from __future__ import annotations

from sidecar.core.candidates import Passage
from sidecar.training.groups import Group


def group(*labels, qid="1", query="a query", texts=None, source="train.jsonl:1"):
    """Build a group of documents d1, d2, … with these labels."""
    docids = [f"d{number}" for number in range(1, len(labels) + 1)]
    words = texts or [f"text of {docid}" for docid in docids]
    return Group(qid, query, docids, [Passage("", text) for text in words], list(labels), source)
