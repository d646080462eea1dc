r"""Measure pseudo-relevance feedback of a bi-encoder: the query's vector, plus the mean of its own best passages'.

    python -m benchmarks.feedback --data FOLDER --vectors FOLDER --model e5-small --feedback 2=0.2 --feedback 3=0.5 \
        COLLECTION…

`--feedback 2=0.2` takes the two best passages, with the weight 0.2. Each is compared with the model without feedback:
the cosine alone, and with the fusion of the model's manifest. Vectors are kept in --vectors, so that another choice
needs no model. Collections are those of `benchmarks.quality`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.judged import named
from benchmarks.quality import List, Scores, by_query, fused, preferred_fusion, read
from sidecar.core.candidates import Passage
from sidecar.scoring.loading import load_scorer


def main() -> None:
    """Embed what is not yet embedded, and print a row for each collection."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--model", required=True, help="a bi-encoder: NAME, or NAME=DIRECTORY")
    parser.add_argument("--feedback", action="append", required=True, help="PASSAGES=WEIGHT")
    parser.add_argument("collection", nargs="+")
    given = parser.parse_args()
    given.vectors.mkdir(parents=True, exist_ok=True)
    name, model = named(given.model)
    fusion = preferred_fusion(model)
    choices = [(int(count), float(weight)) for count, weight in (one.split("=") for one in given.feedback)]
    labels = [f"{weight:g} × {count}" for count, weight in choices]
    cells = [f"{label}, {part}" for label in labels for part in ("cosine", "fused")]
    sys.stdout.write(f"| | queries | cosine | fused | {' | '.join(cells)} |\n")
    sys.stdout.write("| --- |" + " --- |" * (len(cells) + 3) + "\n")
    for collection in given.collection:
        lists, qrels = read(given.data, collection)
        lists = [one for one in lists if one.qid in qrels]
        vectors = embedded(given.vectors / f"{collection.replace(':', '.')}.{name}.npz", lists, model)
        systems: dict[str, Scores] = {}
        for label, (count, weight) in zip(["", *labels], [(0, 0.0), *choices], strict=True):
            systems[f"{label}, cosine"] = cosines(lists, *vectors, count, weight)
            systems[f"{label}, fused"] = fused(lists, systems[f"{label}, cosine"], fusion)
        found = by_query(lists, qrels, systems)
        row = [f"{found[f', {part}'].mean():.4f}" for part in ("cosine", "fused")]
        row += [_gain(found[cell], found[f", {cell.split(', ')[1]}"]) for cell in cells]
        sys.stdout.write(f"| {collection} | {len(lists)} | {' | '.join(row)} |\n")
        sys.stdout.flush()


def embedded(path: Path, lists: Sequence[List], model: str) -> tuple[Any, Any]:
    """Return unit vectors of the passages, in the order of `rows`, and of the queries; float32."""
    if not path.exists():
        scorer: Any = load_scorer(model, cache_size=0)
        prompt, engine = scorer.prompt, scorer.engine
        queries = [engine.vectors(prompt.texts([prompt.query(one.query)]))[0] for one in lists]
        texts: dict[str, Passage] = {}
        for one in lists:
            pairs = zip(one.docids, one.passages, strict=True)
            texts.update((docid, texts.get(docid, passage)) for docid, passage in pairs)
        np.savez(path, V=np.stack(engine.vectors(prompt.passages(list(texts.values())))), Q=np.stack(queries))
    with np.load(path) as found:
        return found["V"], found["Q"]


def rows(lists: Sequence[List]) -> dict[str, int]:
    """Return the row of each document: in the order in which the lists first name them."""
    return {docid: row for row, docid in enumerate(dict.fromkeys(docid for one in lists for docid in one.docids))}


def cosines(lists: Sequence[List], passages: Any, queries: Any, count: int, weight: float) -> Scores:
    """Return each candidate's cosine to the query, moved towards the mean of its `count` best candidates."""
    row = rows(lists)
    found: Scores = {}
    for one, query in zip(lists, queries, strict=True):
        own = passages[[row[docid] for docid in one.docids]]
        scores = own @ query
        if count:
            best = np.argsort(-scores, kind="stable")[:count]
            moved = query + weight * own[best].mean(axis=0)
            scores = own @ (moved / np.linalg.norm(moved))
        found[one.qid] = [float(score) for score in scores]
    return found


def _gain(values: Any, other: Any) -> str:
    if not (values - other).any():
        return "="
    return f"{(values - other).mean():+.4f} (p {stats.ttest_rel(values, other).pvalue:.2g})"


if __name__ == "__main__":
    main()
