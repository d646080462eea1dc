"""Measure nDCG@10 of models over judged collections, alone and blended, beside BM25's; compare with the first model.

    python -m benchmarks.quality --data FOLDER --scores FOLDER --model minilm --model minilm-reranker COLLECTION…

A collection is a folder of --data: `candidates.bm25.jsonl.gz` with `qrels.tsv` (TREC DL), or `corpus.jsonl.gz` with
`queries.jsonl`, `qrels*.tsv` and BM25's `bm25_top100*.tsv.gz`; if that is missing, Lucene makes it. Scores are
kept in --scores, a file for each collection and model, so that another blend needs no scoring.
"""

from __future__ import annotations

import argparse
import json
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
from sidecar.core.atomic_write import atomic_write
from sidecar.core.candidates import Passage
from sidecar.experiments.qrels import Qrels, read_qrels
from sidecar.scoring.loading import load_scorer

DEPTH = 100
MEASURE = ir_measures.parse_measure("nDCG@10")

Scores = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class List:
    """A query with BM25's candidates, best first."""

    qid: str
    query: str
    docids: list[str]
    passages: list[Passage]
    bm25: list[float]


def main() -> None:
    """Score what is not yet scored, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--model", action="append", required=True, help="NAME, or NAME=DIRECTORY")
    parser.add_argument("--blend", action="append", default=[], help="weights of z-scores: minilm=1,bm25=0.25")
    parser.add_argument("--max-length", type=int)
    parser.add_argument("--queries", type=int, help="so many of a collection's queries, the first ones")
    parser.add_argument("collection", nargs="+", help="a folder of --data, or folder:train for another split")
    given = parser.parse_args()
    given.scores.mkdir(parents=True, exist_ok=True)
    models = dict(map(named, given.model))
    blends = [{name: float(weight) for name, weight in (p.split("=") for p in b.split(","))} for b in given.blend]
    for collection in given.collection:
        lists, qrels = read(given.data, collection)
        lists = [one for one in lists if one.qid in qrels][: given.queries]
        systems = {"bm25": {one.qid: one.bm25 for one in lists}}
        for name, model in models.items():
            path = given.scores / f"{collection.replace(':', '.')}.{name}.json"
            systems[name] = kept(path, lists, model, given.max_length)
        for weights in blends:
            name = " + ".join(f"{weight:g} {part}" for part, weight in weights.items())
            systems[name] = blended(lists, systems, weights)
        table(collection, lists, qrels, systems, first=next(iter(models)))


def read(data: Path, collection: str) -> tuple[list[List], Qrels]:
    """Read a collection's lists and judgements."""
    name, _, split = collection.partition(":")
    folder = data / name
    if (folder / "candidates.bm25.jsonl.gz").exists():
        return list(_from_candidates(folder / "candidates.bm25.jsonl.gz")), read_qrels(folder / "qrels.tsv")
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


def _z(values: Sequence[float]) -> Any:
    found = np.asarray(values, dtype=float)
    return (found - found.mean()) / (found.std() or 1.0)


def table(collection: str, lists: Sequence[List], qrels: Qrels, systems: Mapping[str, Scores], *, first: str) -> None:
    """Print each system's mean, and how it compares with the first model."""
    judged = {one.qid: qrels[one.qid] for one in lists}
    by_query = {name: _by_query(lists, scores, judged) for name, scores in systems.items()}
    sys.stdout.write(f"{collection}: {len(lists)} queries\n")
    for name, values in by_query.items():
        differences = values - by_query[first]
        line = f"  {name:40} {values.mean():.4f}"
        if name != first and differences.any():
            # The smallest difference that this many queries would show four times out of five, at p < 0.05.
            power = 2.8 * differences.std(ddof=1) / len(differences) ** 0.5
            p = stats.ttest_rel(values, by_query[first]).pvalue
            line += f"  {differences.mean():+.4f} to {first}, p {p:.3g}, would show {power:.3f}"
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _by_query(lists: Sequence[List], scores: Scores, qrels: Qrels) -> Any:
    run = {one.qid: dict(zip(one.docids, map(float, scores[one.qid]), strict=True)) for one in lists}
    values = {metric.query_id: metric.value for metric in ir_measures.iter_calc([MEASURE], qrels, run)}
    return np.array([values.get(one.qid, 0.0) for one in lists])


if __name__ == "__main__":
    main()
