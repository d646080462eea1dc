"""Measure what a threshold on relevance keeps: the precision of it, by `min_relevance`, on judged collections.

    python -m benchmarks.threshold --data FOLDER --scores FOLDER --model e5-small

A query's candidates are its first stage's window. No collection is measured with a mapping that was fitted on it: each
one's mapping is fitted anew on the other kinds of `benchmarks.calibration`. Scores are kept as `benchmarks.quality`
keeps them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from benchmarks.calibration import FITTED, HELD_BACK, joined, pairs
from benchmarks.judged import named
from sidecar.scoring.calibration import Judged, fit
from sidecar.scoring.checkpoints.manifest import ScoreMapping

MEASURED = (
    "web questions (TREC DL 2019)",
    "sentences that answer (WikiQA dev)",
    "physics abstracts (NPL)",
)
THRESHOLDS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)


def main() -> None:
    """Score what is not yet scored, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--model", required=True, help="NAME, or NAME=DIRECTORY")
    given = parser.parse_args()
    given.scores.mkdir(parents=True, exist_ok=True)
    name, model = named(given.model)
    kinds = {**FITTED, **{label: kind for label, kind in HELD_BACK.items() if label in MEASURED}}
    judged = {label: pairs(kind, given.data, given.scores, name, model) for label, kind in kinds.items()}
    sys.stdout.writelines(table(judged))


def table(judged: Mapping[str, Sequence[Judged]]) -> Iterable[str]:
    """Write a row for each threshold: of each collection precision, recall, and hits kept for a query."""
    mappings = {label: fit(joined(judged[other] for other in FITTED if other != label)) for label in MEASURED}
    yield f"| min_relevance | {' | '.join(MEASURED)} |\n"
    yield "| --- |" + " --- |" * len(MEASURED) + "\n"
    for least in THRESHOLDS:
        cells = [cell(judged[label], least, mappings[label]) for label in MEASURED]
        yield f"| {least:g} | {' | '.join(cells)} |\n"


def cell(judged: Sequence[Judged], least: float, mapping: ScoreMapping) -> str:
    """Return precision, recall and hits for a query of the pairs that reach the threshold."""
    kept = [pair for pair in judged if mapping(pair.score) >= least]
    relevant = sum(pair.relevant for pair in kept)
    queries = sum(1 for _ in groupby(judged, key=lambda pair: pair.qid))
    if not kept:
        return "nothing kept"
    recall = relevant / sum(pair.relevant for pair in judged)
    return f"{relevant / len(kept):.3f}, {recall:.3f}, {len(kept) / queries:.1f}"


if __name__ == "__main__":
    main()
