"""Read the files of judged collections for the benchmarks."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sidecar.core.text_lines import numbered_lines


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a file of JSON lines."""
    return (json.loads(line) for _, line in numbered_lines(path))


def bm25_hits(path: Path) -> dict[str, dict[str, float]]:
    """Return query → document → BM25's score, best first, of a table of query, document, rank and score."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for qid, docid, _, score in csv.reader((line.decode() for _, line in numbered_lines(path)), delimiter="\t"):
        if qid != "query-id":
            found[qid][docid] = float(score)
    return found


def named(model: str) -> tuple[str, str]:
    """Return a model's name and location, of `NAME` or `NAME=DIRECTORY`."""
    name, _, place = model.partition("=")
    return name, place or name
