"""Fit the calibration of a model on several judged collections, and measure it on others.

    python -m benchmarks.calibration --data FOLDER --scores FOLDER --model e5-small [--write CHECKPOINT]

The collections of `FITTED` are of different kinds. Each has the same weight: at most `PAIRS` of its pairs are used, a
sample of whole queries. The first table fits on all of these kinds but one and measures on that one; the collections of
`HELD_BACK` are never fitted on. The second table is the reliability of the final fit. `--write` puts it into the
`sidecar.json` of a checkpoint. Scores are kept as `benchmarks.quality` keeps them.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import msgspec

from benchmarks.judged import named
from benchmarks.quality import kept, read
from sidecar.core.errors import ModelError
from sidecar.scoring.calibration import BINS, Judged, fit, quality
from sidecar.scoring.checkpoints.manifest import read_manifest, write_manifest
from sidecar.scoring.loading import locate

PAIRS = 2000


@dataclass(frozen=True, slots=True)
class Kind:
    """A collection, the lowest grade that counts as relevant, and whether only judged pairs count."""

    collection: str
    relevant_from: int = 1
    judged_alone: bool = False


# TREC's pools leave most candidates unjudged; the complete collections list only what is relevant.
FITTED = {
    "web questions (TREC DL 2021)": Kind("trec-dl21-passage", 2, judged_alone=True),
    "sentences that answer (WikiQA dev)": Kind("wikiqa:dev"),
    "physics abstracts (NPL)": Kind("vaswani-npl"),
    "aerodynamics abstracts (Cranfield)": Kind("cranfield"),
    "computing abstracts (CACM)": Kind("cacm"),
    "information science abstracts (ADI)": Kind("adi"),
}
HELD_BACK = {
    "web questions (TREC DL 2019)": Kind("trec-dl19-passage", 2, judged_alone=True),
    "claims and abstracts (SciFact)": Kind("scifact"),
}


def main() -> None:
    """Score what is not yet scored, fit, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--model", required=True, help="NAME, or NAME=DIRECTORY")
    parser.add_argument("--write", type=Path, help="a checkpoint whose sidecar.json gets the mapping")
    given = parser.parse_args()
    given.scores.mkdir(parents=True, exist_ok=True)
    name, model = named(given.model)
    fitted, held = (
        {label: pairs(kind, given.data, given.scores, name, model) for label, kind in kinds.items()}
        for kinds in (FITTED, HELD_BACK)
    )
    before = _uncalibrated(model)
    sys.stdout.writelines(held_back(fitted, held, before))
    mapping = fit(joined(fitted.values()))
    sys.stdout.write(f"\nsigmoid({mapping.a:.6g} · score {mapping.b:+.6g})\n\n")
    sys.stdout.writelines(reliability(fitted | held, mapping))
    if given.write is not None:
        manifest = read_manifest(given.write)
        if manifest is None:
            raise ModelError(f"{given.write} has no sidecar.json.", remedy="Name the folder of a checkpoint.")
        rounded = msgspec.structs.replace(mapping, a=round(mapping.a, 3), b=round(mapping.b, 3))
        write_manifest(msgspec.structs.replace(manifest, score_mapping=rounded), given.write)


def pairs(kind: Kind, data: Path, scores: Path, name: str, model: str) -> list[Judged]:
    """Return a collection's scored and judged pairs."""
    lists, qrels = read(data, kind.collection)
    lists = [one for one in lists if one.qid in qrels]
    found = kept(scores / f"{kind.collection.replace(':', '.')}.{name}.json", lists, model, None)
    return [
        Judged(f"{kind.collection}/{one.qid}", score, qrels[one.qid].get(docid, 0) >= kind.relevant_from)
        for one in lists
        for docid, score in zip(one.docids, found[one.qid], strict=True)
        if docid in qrels[one.qid] or not kind.judged_alone
    ]


def joined(kinds: Iterable[Sequence[Judged]]) -> list[Judged]:
    """Join kinds, of each whole queries in the order of a hash, until they have `PAIRS` pairs."""
    found: list[Judged] = []
    for kind in kinds:
        queries = [list(group) for _, group in groupby(kind, key=lambda pair: pair.qid)]
        queries.sort(key=lambda group: hashlib.blake2b(group[0].qid.encode()).digest())
        sample = [pair for group in queries for pair in group]
        found += sample[:PAIRS]
    return found


def held_back(
    fitted: Mapping[str, Sequence[Judged]], held: Mapping[str, Sequence[Judged]], before: Callable[[float], float]
) -> Iterable[str]:
    """Measure each kind by a mapping that was fitted on the others; a kind's base rate is its best constant."""
    yield "| kind, not fitted on | pairs | relevant | Brier: uncalibrated | its base rate | fitted | ECE: fitted |\n"
    yield "| --- | --- | --- | --- | --- | --- | --- |\n"
    for label, judged in {**fitted, **held}.items():
        mapping = fit(joined(other for name, other in fitted.items() if name != label))
        share = sum(pair.relevant for pair in judged) / len(judged)
        found = quality(judged, mapping)
        briers = (quality(judged, before).brier, share * (1 - share), found.brier)
        row = " | ".join(f"{value:.4f}" for value in (*briers, found.ece))
        yield f"| {label} | {len(judged)} | {share:.3f} | {row} |\n"


def reliability(kinds: Mapping[str, Sequence[Judged]], mapping: Callable[[float], float]) -> Iterable[str]:
    """Show the share of relevant pairs, and their number, by the probability that the mapping gives."""
    edges = [f"{low / BINS:.1f} to {(low + 1) / BINS:.1f}" for low in range(BINS)]
    yield f"| | {' | '.join(edges)} |\n"
    yield "| --- |" + " --- |" * BINS + "\n"
    for label, judged in kinds.items():
        bins: list[list[bool]] = [[] for _ in range(BINS)]
        for pair in judged:
            bins[min(int(mapping(pair.score) * BINS), BINS - 1)].append(pair.relevant)
        cells = [f"{sum(found) / len(found):.2f} ({len(found)})" if found else "–" for found in bins]
        yield f"| {label} | {' | '.join(cells)} |\n"


def _uncalibrated(model: str) -> Callable[[float], float]:
    """Return the mapping that the model has without a calibration."""
    manifest = locate(model).manifest
    if manifest is None:
        raise ModelError(f"{model!r} has no manifest.", remedy="Name a preset, or a checkpoint with a sidecar.json.")
    return msgspec.structs.replace(manifest, score_mapping=None).mapping


if __name__ == "__main__":
    main()
