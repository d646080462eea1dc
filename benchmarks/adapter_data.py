"""Make the training data of the embedded adapter: lists with labels, and bi-encoders' scores of every pair.

    python -m benchmarks.adapter_data --data FOLDER --output FOLDER --teacher bge-small --teacher minilm

FOLDER holds the collections named below, in BEIR's files (`corpus.jsonl.gz`, `queries.jsonl`, `qrels.tsv`, and BM25's
`bm25_top20.tsv.gz`) or as lists with labels (`*labelled_candidates.jsonl.gz`). The output is `train.jsonl.gz`,
`development.jsonl.gz` (queries of TREC DL 2021 and WikiQA that are not trained on) and, for each teacher,
`teacher.NAME.jsonl`, as `sidecar teach` writes it. The first teacher also finds the nearest passages of each query, so
it embeds all passages; the others embed those of the lists. Embeddings are kept in the output folder, so a second run
continues where the first one stopped. `--share 0.3` takes 30 % of the queries that have a corpus. BM25's lists of 100
queries of each collection that has them are not trained on: `OUTPUT/held-out/COLLECTION.labelled_candidates.jsonl.gz`,
which `benchmarks.quality --data OUTPUT held-out:COLLECTION` reads.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.judged import bm25_hits, named, records
from sidecar.core.atomic_write import atomic_write
from sidecar.core.candidates import Passage
from sidecar.experiments.qrels import read_qrels
from sidecar.scoring.loading import load_scorer

# Collections with a corpus, and how many of their queries are taken; queries of one pool share their passages as
# negatives.
COMPLETE = {"msmarco-train-12k": 9000, "squad-11k": 3000, "sure-nq": 1997, "qed-nq-dev": 1355}
POOLS = {
    "msmarco-train-12k": "msmarco",
    "trec-dl21-passage": "msmarco",
    "sure-nq": "wikipedia",
    "qed-nq-dev": "wikipedia",
}
LISTS = {
    "wikiqa": "train.labelled_candidates.jsonl.gz",
    "msmarco-qna-sample": "labelled_candidates.jsonl.gz",
    "trec-dl21-passage": "judged.labelled_candidates.jsonl.gz",
}
# "which …" begins two thirds of msmarco-train-12k's queries, and few other queries.
WHICH = 2500
LEXICAL, NEAREST, NEIGHBOURS = 6, 12, 60
HELD_OUT = 100
# The passages of a training list; TREC's pools make many such lists of one query.
SIZE = 16
TREC_LISTS = 24
TREC_DEVELOPMENT, WIKIQA_DEVELOPMENT = 20, 40
EMBEDDED_AT_ONCE = 4096


@dataclass(slots=True)
class Query:
    """A query with labels by document; a `fixed` one is trained on with only these passages."""

    qid: str
    text: str
    pool: str
    labels: dict[str, int]
    lexical: dict[str, float] = field(default_factory=dict)
    fixed: bool = False


@dataclass(slots=True)
class Data:
    """Passages by pool and document, and the queries."""

    passages: dict[str, dict[str, Passage]] = field(default_factory=lambda: defaultdict(dict))
    queries: list[Query] = field(default_factory=list)
    held_out: dict[str, list[Query]] = field(default_factory=dict)


class Teacher:
    """A bi-encoder: unit vectors of texts, stored on disk by their hash."""

    def __init__(self, name: str, model: str, folder: Path) -> None:
        self.name = name
        self._scorer: Any = load_scorer(model, cache_size=0)
        self._folder = folder

    def vectors(self, kind: str, texts: list[Any]) -> Any:
        """Return texts x width, float32; `kind` is query or passage."""
        digest = hashlib.blake2b("\x00".join(map(str, texts)).encode(), digest_size=8).hexdigest()
        path = self._folder / f"vectors.{self.name}.{kind}.{digest}.npy"
        if not path.exists():
            prompt = self._scorer.prompt
            found = []
            for start in range(0, len(texts), EMBEDDED_AT_ONCE):
                part = texts[start : start + EMBEDDED_AT_ONCE]
                rows = (
                    prompt.passages(part) if kind == "passage" else prompt.texts([prompt.query(text) for text in part])
                )
                found += [np.asarray(vector) for vector in self._scorer.engine.vectors(rows)]
                sys.stderr.write(f"{self.name}: {len(found)} of {len(texts)} {kind} texts\n")
            np.save(path, np.stack(found).astype(np.float16))
        return np.load(path).astype(np.float32)


def main() -> None:
    """Read, mine, teach and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--teacher", action="append", required=True, help="NAME, or NAME=DIRECTORY")
    parser.add_argument("--share", type=float, default=1.0, help="share of the queries of collections with a corpus")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    chance = random.Random(given.seed)  # noqa: S311  a sample, not a secret
    data = read(given.data, chance, given.share)
    development(given.data, given.output)
    for name, queries in data.held_out.items():
        (given.output / "held-out").mkdir(exist_ok=True)
        with atomic_write(given.output / "held-out" / f"{name}.labelled_candidates.jsonl.gz") as stream:
            stream.writelines(json.dumps(ranked(query, data)) + "\n" for query in queries)
    teachers = [Teacher(*named(teacher), given.output) for teacher in given.teacher]
    first = embedded(teachers[0], data)
    lists = [one for query in data.queries for one in choose(query, first, chance)]
    chance.shuffle(lists)
    similar = {teachers[0].name: first} | {
        teacher.name: embedded(teacher, in_lists(lists, data)) for teacher in teachers[1:]
    }
    with atomic_write(given.output / "train.jsonl.gz") as stream:
        stream.writelines(json.dumps(line(qid, query, docids, data)) + "\n" for qid, query, docids in lists)
    for teacher in teachers:
        with atomic_write(given.output / f"teacher.{teacher.name}.jsonl") as stream:
            for _, query, docids in lists:
                scores = similar[teacher.name].scores(query, docids)
                stream.write(json.dumps({"query": query.text, "teacher": teacher.name, "scores": scores}) + "\n")
    sys.stderr.write(f"{len(lists)} lists of {len(data.queries)} queries\n")


def read(folder: Path, chance: random.Random, share: float) -> Data:
    """Read every collection; a share of the queries of those that have a corpus."""
    data = Data()
    held = development_queries(folder)
    for name, count in COMPLETE.items():
        pool = POOLS.get(name, name)
        for record in records(folder / name / "corpus.jsonl.gz"):
            data.passages[pool][docid_of(name, record["_id"])] = Passage(record.get("title") or "", record["text"])
        labels = read_qrels(folder / name / "qrels.tsv")
        ranked = folder / name / "bm25_top20.tsv.gz"
        lexical = bm25_hits(ranked) if ranked.exists() else {}
        found = [
            Query(f"{name}/{record['_id']}", record["text"], pool, *of(name, record["_id"], labels, lexical))
            for record in records(folder / name / "queries.jsonl")
            if record["_id"] in labels
        ]
        which = [query for query in found if query.text.lower().startswith("which")]
        others = [query for query in found if not query.text.lower().startswith("which")]
        if len(which) > WHICH:
            which = chance.sample(which, WHICH)
        taken = which + others
        if lexical:
            # BM25 found a relevant passage, so an order can be better or worse.
            fit = [query for query in taken if query.labels.keys() & set(query.lexical)]
            data.held_out[name] = chance.sample(fit, HELD_OUT)
            kept_apart = {query.qid for query in data.held_out[name]}
            taken = [query for query in taken if query.qid not in kept_apart]
        data.queries += chance.sample(taken, min(round(share * count), len(taken)))
    for name, file in LISTS.items():
        for record in records(folder / name / file):
            if name == "trec-dl21-passage" and record["query_id"] in held:
                continue
            pool = POOLS.get(name, name)
            grades: dict[str, int] = {}
            for candidate in record["candidates"]:
                key = docid_of(name, candidate["docid"])
                data.passages[pool][key] = Passage(candidate.get("title") or "", candidate["text"])
                grades[key] = candidate["label"]
            if len(set(grades.values())) > 1:
                data.queries.append(Query(f"{name}/{record['query_id']}", record["query"], pool, grades, fixed=True))
    return data


def of(name: str, qid: str, labels: Any, lexical: Any) -> tuple[dict[str, int], dict[str, float]]:
    """Return a query's labels and BM25's hits, by our names of documents."""
    judged = {docid_of(name, docid): label for docid, label in labels[qid].items()}
    return judged, {docid_of(name, docid): score for docid, score in lexical.get(qid, {}).items()}


def docid_of(name: str, docid: str) -> str:
    """Return MS MARCO's own ids, so that contamination is found; other ids get the collection's name as a prefix."""
    return docid if POOLS.get(name) == "msmarco" else f"{name}/{docid}"


def development_queries(folder: Path) -> set[str]:
    """Return the queries of TREC DL 2021 that are held out."""
    qids = sorted(record["query_id"] for record in records(folder / "trec-dl21-passage" / "candidates.bm25.jsonl.gz"))
    return set(random.Random(0).sample(qids, TREC_DEVELOPMENT))  # noqa: S311


def development(folder: Path, output: Path) -> None:
    """Write the development lists: BM25's of TREC DL 2021 with their grades, and WikiQA's."""
    trec = folder / "trec-dl21-passage"
    held, grades = development_queries(folder), read_qrels(trec / "qrels.tsv")
    lists = []
    for record in records(trec / "candidates.bm25.jsonl.gz"):
        if record["query_id"] in held:
            judged = grades.get(record["query_id"], {})
            for candidate in record["candidates"]:
                candidate["label"] = judged.get(candidate["docid"], 0)
            lists.append(record)
    wikiqa = [
        record
        for record in records(folder / "wikiqa" / "dev.labelled_candidates.jsonl.gz")
        if len({candidate["label"] for candidate in record["candidates"]}) > 1
    ]
    lists += random.Random(1).sample(wikiqa, WIKIQA_DEVELOPMENT)  # noqa: S311
    with atomic_write(output / "development.jsonl.gz") as stream:
        stream.writelines(json.dumps(record) + "\n" for record in lists)


class Similar:
    """One teacher's vectors of all queries and passages."""

    def __init__(self, queries: dict[str, Any], passages: dict[str, tuple[dict[str, int], Any]]) -> None:
        self._queries, self._passages = queries, passages

    def scores(self, query: Query, docids: Iterable[str]) -> dict[str, float]:
        """Return the cosine of each document."""
        rows, vectors = self._passages[query.pool]
        return {docid: round(float(vectors[rows[docid]] @ self._queries[query.qid]), 5) for docid in docids}

    def nearest(self, query: Query) -> list[str]:
        """Return the nearest documents of the query's pool, best first."""
        rows, vectors = self._passages[query.pool]
        docids = list(rows)
        return [docids[at] for at in np.argsort(-(vectors @ self._queries[query.qid]))[:NEIGHBOURS]]


def embedded(teacher: Teacher, data: Data) -> Similar:
    """Embed every query and every passage."""
    vectors = teacher.vectors("query", [query.text for query in data.queries])
    passages = {}
    for pool, found in sorted(data.passages.items()):
        passages[pool] = (
            {docid: at for at, docid in enumerate(found)},
            teacher.vectors("passage", list(found.values())),
        )
    return Similar({query.qid: row for query, row in zip(data.queries, vectors, strict=True)}, passages)


def in_lists(lists: Iterable[tuple[str, Query, list[str]]], data: Data) -> Data:
    """Return the queries and passages of lists alone, in a fixed order."""
    queries, docids = {}, defaultdict(set)
    for _, query, listed in lists:
        queries[query.qid] = query
        docids[query.pool].update(listed)
    passages = {pool: {docid: data.passages[pool][docid] for docid in sorted(found)} for pool, found in docids.items()}
    return Data(defaultdict(dict, passages), sorted(queries.values(), key=lambda query: query.qid))


def choose(query: Query, similar: Similar, chance: random.Random) -> Iterator[tuple[str, Query, list[str]]]:
    """Yield the lists to train on: relevant documents, and a sample of BM25's and the first teacher's hits."""
    positives = [docid for docid, label in query.labels.items() if label > 0]
    if query.fixed:
        rest = [docid for docid, label in query.labels.items() if label == 0]
        count = TREC_LISTS if len(query.labels) > 2 * SIZE else 1
        for number in range(count):
            some = chance.sample(positives, min(len(positives), SIZE // 2))
            some += chance.sample(rest, min(len(rest), SIZE - len(some)))
            if len({query.labels[docid] for docid in some}) > 1:
                yield f"{query.qid}/{number}", query, some
        return
    lexical = [docid for docid in query.lexical if docid not in query.labels]
    nearest = [docid for docid in similar.nearest(query) if docid not in query.labels]
    chosen = [*positives, *chance.sample(lexical, min(LEXICAL, len(lexical)))]
    chosen += chance.sample(nearest, min(NEAREST, len(nearest)))
    chosen = list(dict.fromkeys(chosen))[: SIZE + len(positives)]
    if len(chosen) > len(positives):
        yield query.qid, query, chosen


def ranked(query: Query, data: Data) -> dict[str, Any]:
    """Return BM25's list of a held-out query, with its scores."""
    found = line(query.qid, query, list(query.lexical), data)
    for candidate in found["candidates"]:
        candidate["score"] = query.lexical[candidate["docid"]]
    return found


def line(qid: str, query: Query, docids: list[str], data: Data) -> dict[str, Any]:
    """Return one list as `sidecar train` reads it; an unjudged passage is irrelevant until a teacher scores it."""
    passages = data.passages[query.pool]
    candidates = [
        {
            "docid": docid,
            "title": passages[docid].title,
            "text": passages[docid].text,
            "label": query.labels.get(docid, 0),
        }
        for docid in docids
    ]
    return {"query_id": qid, "query": query.text, "candidates": candidates}


if __name__ == "__main__":
    main()
