r"""Measure nDCG@10 of models over judged collections, alone, fused and blended, beside that of the first stage.

    python -m benchmarks.quality --data FOLDER --scores FOLDER --model minilm-reranker --model e5-small \
        --as-shipped e5-small COLLECTION…

Each is compared with the first stage and with the first model. `--as-shipped` adds the model with the fusion that its
manifest prefers. A collection is a folder of --data: `candidates.bm25.jsonl.gz` with `qrels.tsv` (TREC DL; `:splade_ed`
after its name is another first stage), `dev.labelled_candidates.jsonl.gz` (`wikiqa:dev`), or `corpus.jsonl.gz` with
`queries.jsonl`, `qrels*.tsv` and BM25's `bm25_top100*.tsv.gz`; if that is missing, Lucene makes it. Scores are kept in
--scores, a file for each collection and model, so that another blend needs no scoring.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
from scipy import stats

from benchmarks.judged import bm25_hits, named, records
from sidecar.core.adaptive_weight import adaptive_weight, agreement, relative_spread
from sidecar.core.atomic_write import atomic_write
from sidecar.core.candidates import Candidate, Passage
from sidecar.core.fusion import Fusion
from sidecar.experiments.qrels import Qrels, read_qrels
from sidecar.scoring.loading import load_scorer, locate

DEPTH = 100
MEASURE = ir_measures.parse_measure("nDCG@10")

FIRST = "bm25"

Scores = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class List:
    """A query with its first stage's candidates, best first."""

    qid: str
    query: str
    docids: list[str]
    passages: list[Passage]
    bm25: list[float]

    @property
    def candidates(self) -> list[Candidate]:
        """The candidates as a fusion takes them."""
        found = zip(self.docids, self.bm25, self.passages, strict=True)
        return [Candidate(docid, rank, score, passage) for rank, (docid, score, passage) in enumerate(found, start=1)]


def main() -> None:
    """Score what is not yet scored, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--model", action="append", required=True, help="NAME, or NAME=DIRECTORY")
    parser.add_argument("--blend", action="append", default=[], help="weights of z-scores: minilm=1,bm25=0.25")
    parser.add_argument("--as-shipped", action="append", default=[], help="one of the models, with its own fusion")
    parser.add_argument("--markdown", action="store_true", help="print one table of all collections at the end")
    parser.add_argument("--max-length", type=int)
    parser.add_argument("--queries", type=int, help="so many of a collection's queries, the first ones")
    parser.add_argument("collection", nargs="+", help="a folder of --data, or folder:PART")
    given = parser.parse_args()
    given.scores.mkdir(parents=True, exist_ok=True)
    models = dict(map(named, given.model))
    blends = [{name: float(weight) for name, weight in (p.split("=") for p in b.split(","))} for b in given.blend]
    rows = []
    for collection in given.collection:
        lists, qrels = read(given.data, collection)
        lists = [one for one in lists if one.qid in qrels][: given.queries]
        systems = {FIRST: {one.qid: one.bm25 for one in lists}}
        for name, model in models.items():
            path = given.scores / f"{collection.replace(':', '.')}.{name}.json"
            systems[name] = kept(path, lists, model, given.max_length)
        for weights in blends:
            name = " + ".join(f"{weight:g} {part}" for part, weight in weights.items())
            systems[name] = blended(lists, systems, weights)
        for name in given.as_shipped:
            systems[f"{name} as shipped"] = fused(lists, systems[name], preferred_fusion(models[name]))
            sys.stdout.write(f"{collection}: {agreements(lists, systems[name])}\n")
        rows.append((collection, by_query(lists, qrels, systems)))
        table(*rows[-1], first=next(iter(models)))
    if given.markdown:
        sys.stdout.writelines(markdown(rows, first=next(iter(models))))


def read(data: Path, collection: str) -> tuple[list[List], Qrels]:
    """Read a collection's lists and judgements."""
    name, _, split = collection.partition(":")
    folder = data / name
    given = folder / f"candidates.{split or 'bm25'}.jsonl.gz"
    if given.exists():
        return list(_from_candidates(given)), read_qrels(folder / "qrels.tsv")
    labelled = folder / f"{split}.labelled_candidates.jsonl.gz"
    if labelled.exists():
        return list(_from_candidates(labelled)), _labels(labelled)
    part = f".{split or 'test'}" if (folder / "qrels.test.tsv").exists() else ""
    qrels = read_qrels(folder / f"qrels{part}.tsv")
    corpus = {
        record["_id"]: Passage(record.get("title") or "", record["text"])
        for record in records(folder / "corpus.jsonl.gz")
    }
    queries = {record["_id"]: record["text"] for record in records(folder / "queries.jsonl")}
    path = folder / f"bm25_top100{part}.tsv.gz"
    found = bm25_hits(path) if path.exists() else _from_lucene(corpus, queries)
    lists = [
        List(qid, queries[qid], list(hits), [corpus[docid] for docid in hits], list(hits.values()))
        for qid, hits in ((qid, dict(islice(hits.items(), DEPTH))) for qid, hits in found.items())
    ]
    return lists, qrels


def _from_candidates(path: Path) -> Iterator[List]:
    for record in records(path):
        hits = record["candidates"][:DEPTH]
        passages = [Passage(hit.get("title") or "", hit["text"]) for hit in hits]
        yield List(
            record["query_id"], record["query"], [h["docid"] for h in hits], passages, [h["score"] for h in hits]
        )


def _labels(path: Path) -> Qrels:
    """The judgements of a file that has them beside its candidates; queries without a relevant one are left out."""
    found = {
        record["query_id"]: {hit["docid"]: int(hit["label"]) for hit in record["candidates"]}
        for record in records(path)
    }
    return {qid: labels for qid, labels in found.items() if any(labels.values())}


def _from_lucene(corpus: Mapping[str, Passage], queries: Mapping[str, str]) -> dict[str, dict[str, float]]:
    from connectors.pyserini.build import build_index
    from connectors.pyserini.connector import LuceneRequest, PyseriniConnector
    from connectors.pyserini.index import LuceneIndex
    from sidecar.core.corpus import Document

    with tempfile.TemporaryDirectory() as folder:
        documents = [Document(docid, passage.title, passage.text) for docid, passage in corpus.items()]
        build_index(documents, Path(folder) / "index")
        with LuceneIndex(Path(folder) / "index") as index:
            connector = PyseriniConnector(index)
            return {
                qid: {one.docid: one.score for one in connector.fetch(LuceneRequest(query, DEPTH, DEPTH)).candidates}
                for qid, query in queries.items()
            }


def kept(path: Path, lists: Sequence[List], model: str, max_length: int | None) -> Scores:
    """Return the scores of a file; if there is none, score with the model and write it."""
    if not path.exists():
        scorer = load_scorer(model, max_length=max_length)
        found = {}
        for number, one in enumerate(lists, start=1):
            found[one.qid] = [score.value for score in scorer.score(one.query, one.passages)]
            sys.stderr.write(f"\r{path.name}: {number} of {len(lists)} queries")
        sys.stderr.write("\n")
        with atomic_write(path) as stream:
            json.dump(found, stream)
    scores: Scores = json.loads(path.read_text("utf-8"))
    return scores


def blended(lists: Sequence[List], systems: Mapping[str, Scores], weights: Mapping[str, float]) -> Scores:
    """Return the weighted sum of z-scores within each query."""
    return {
        one.qid: list(sum(weight * _z(systems[name][one.qid]) for name, weight in weights.items())) for one in lists
    }


def preferred_fusion(model: str) -> Fusion:
    """The fusion that a model's manifest prefers."""
    manifest = locate(model).manifest
    return Fusion() if manifest is None else manifest.preferred_fusion


def fused(lists: Sequence[List], scores: Scores, fusion: Fusion) -> Scores:
    """The scores that decide the order where a fusion combines a model's with the first stage's."""
    return {one.qid: fusion.fuse(scores[one.qid], one.candidates) for one in lists}


def agreements(lists: Sequence[List], scores: Scores) -> str:
    """Tell what an adaptive fusion sees of the lists, as medians: spread, agreement, and the share that it gives."""
    rows = [(one.bm25, scores[one.qid]) for one in lists]
    spread = statistics.median(relative_spread(first) for first, _ in rows)
    agreed = statistics.median(agreement(first, model) for first, model in rows)
    share = statistics.median(1 - adaptive_weight(first, model) for first, model in rows)
    return f"medians: spread {spread:.2f}, correlation {agreed:.2f}, the first stage's adaptive share {share:.2f}"


def _z(values: Sequence[float]) -> Any:
    found = np.asarray(values, dtype=float)
    return (found - found.mean()) / (found.std() or 1.0)


def by_query(lists: Sequence[List], qrels: Qrels, systems: Mapping[str, Scores]) -> dict[str, Any]:
    """Each system's figure for every query, in the lists' order."""
    judged = {one.qid: qrels[one.qid] for one in lists}
    return {name: _by_query(lists, scores, judged) for name, scores in systems.items()}


def table(collection: str, found: Mapping[str, Any], *, first: str) -> None:
    """Print each system's mean, and how it compares with the first stage and with the first model."""
    sys.stdout.write(f"{collection}: {len(found[FIRST])} queries\n")
    for name, values in found.items():
        line = f"  {name:40} {values.mean():.4f}"
        for other in (FIRST, first):
            differences = values - found[other]
            if name not in (other, FIRST) and differences.any():
                # The smallest difference that this many queries show four times out of five, at p < 0.05.
                power = 2.8 * differences.std(ddof=1) / len(differences) ** 0.5
                p = stats.ttest_rel(values, found[other]).pvalue
                line += f"  {differences.mean():+.4f} to {other}, p {p:.3g}, would show {power:.3f};"
        sys.stdout.write(line.removesuffix(";") + "\n")
    sys.stdout.flush()


def markdown(rows: Sequence[tuple[str, Mapping[str, Any]]], *, first: str) -> Iterator[str]:
    """Write one table of all collections; the last columns compare the last system."""
    systems = list(rows[0][1])
    yield f"| | queries | {' | '.join(systems)} | to {FIRST} | to {first} |\n"
    yield "| --- |" + " --- |" * (len(systems) + 3) + "\n"
    for collection, found in rows:
        means = " | ".join(f"{found[name].mean():.4f}" for name in systems)
        compared = " | ".join(_compared(found[systems[-1]], found[other]) for other in (FIRST, first))
        yield f"| {collection} | {len(found[FIRST])} | {means} | {compared} |\n"


def _compared(values: Any, other: Any) -> str:
    if not (values - other).any():
        return "="
    return f"{(values - other).mean():+.4f} (p {stats.ttest_rel(values, other).pvalue:.2g})"


def _by_query(lists: Sequence[List], scores: Scores, qrels: Qrels) -> Any:
    run = {one.qid: dict(zip(one.docids, map(float, scores[one.qid]), strict=True)) for one in lists}
    values = {metric.query_id: metric.value for metric in ir_measures.iter_calc([MEASURE], qrels, run)}
    return np.array([values.get(one.qid, 0.0) for one in lists])


if __name__ == "__main__":
    main()
