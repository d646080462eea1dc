"""Measure both search engines on one collection: nDCG@10 of BM25, reranked and blended, and how far they agree.

    python -m benchmarks.engines COLLECTION --url http://localhost:9200

COLLECTION is a folder with corpus.jsonl.gz, queries.jsonl and qrels.tsv (or qrels.test.tsv), in BEIR's layout. The
OpenSearch index is called sidecar-benchmark and is replaced.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from ir_measures import evaluator, nDCG
from opensearchpy import OpenSearch

from connectors.opensearch.admin.bulk import IndexOptions, load
from connectors.opensearch.connector import OpenSearchConnector, SearchRequest
from connectors.opensearch.transport import connect
from connectors.pyserini.build import build_index
from connectors.pyserini.connector import LuceneRequest, PyseriniConnector
from connectors.pyserini.index import LuceneIndex
from sidecar.core.candidates import Candidate, Connector, Ranking
from sidecar.core.corpus import read_corpus
from sidecar.core.fusion import Fusion, Method, Normalization, best_first
from sidecar.core.text_lines import numbered_lines
from sidecar.experiments.qrels import Qrels, read_qrels
from sidecar.experiments.run_files import run_scores, strictly_falling
from sidecar.reranker import Reranker, load_reranker

INDEX = "sidecar-benchmark"
WINDOW = 100
BLEND = Fusion(Method.LINEAR, Normalization.Z_SCORE, weight=0.5)
Run = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Collection:
    """A judged collection on disk: the judged queries by id, and the path of its corpus."""

    name: str
    corpus: Path
    queries: dict[str, str]
    qrels: Qrels


@dataclass(frozen=True, slots=True)
class Outcome:
    """The table's row: nDCG@10 by engine and stage, and the agreement of the two windows.

    `overlap` is the mean share of a window's documents that the other engine's window also holds, `difference` the
    largest difference of a document's rerank score between the engines.
    """

    ndcg: dict[str, float]
    overlap: float
    difference: float


def read_collection(folder: Path) -> Collection:
    """Read a collection; queries without judgements are left out."""
    qrels = read_qrels(next(path for path in (folder / "qrels.test.tsv", folder / "qrels.tsv") if path.is_file()))
    lines = (msgspec.json.decode(line) for _, line in numbered_lines(folder / "queries.jsonl"))
    queries = {line["_id"]: line["text"] for line in lines if line["_id"] in qrels}
    return Collection(folder.name, folder / "corpus.jsonl.gz", queries, qrels)


def compare(collection: Collection, client: OpenSearch, rerankers: tuple[Reranker, Reranker], index: Path) -> Outcome:
    """Index the collection in both engines and send every query through both connectors.

    Each engine has its own reranker, so that equal scores are computed twice and not cached.
    """
    build_index(read_corpus(collection.corpus), index)
    load(client, INDEX, read_corpus(collection.corpus), options=IndexOptions(k1=0.9, b=0.4, overwrite=True))
    rankings = {}
    with LuceneIndex(index) as searcher:
        lucene = PyseriniConnector(searcher)
        rankings["Lucene"] = _search(collection, rerankers[0], lucene, lambda text: LuceneRequest(text, 10, WINDOW))
    opensearch = OpenSearchConnector(client)
    rankings["OpenSearch"] = _search(collection, rerankers[1], opensearch, _body)
    return Outcome(
        ndcg={
            f"{engine} {stage}": _ndcg(collection.qrels, run)
            for engine, by_query in rankings.items()
            for stage, run in (
                ("BM25", _first_run(by_query)),
                ("reranked", _final_run(by_query)),
                ("blended", _blended_run(by_query)),
            )
        },
        overlap=_overlap(*rankings.values()),
        difference=_difference(*rankings.values()),
    )


def _body(text: str) -> SearchRequest:
    query = {"multi_match": {"query": text, "fields": ["title", "text"], "type": "cross_fields"}}
    return SearchRequest(INDEX, {"query": query}, window=WINDOW)


def _search(
    collection: Collection, reranker: Reranker, connector: Connector[Any, Any, Any], request: Callable[[str], object]
) -> dict[str, Ranking]:
    return {
        qid: reranker.rank_candidates(text, connector.fetch(request(text)).candidates)
        for qid, text in collection.queries.items()
    }


def _first_run(rankings: dict[str, Ranking]) -> Run:
    def by_rank(ranking: Ranking) -> Sequence[Candidate]:
        return sorted((hit.candidate for hit in ranking.hits), key=lambda candidate: candidate.rank)

    return {
        qid: _falling([c.docid for c in by_rank(ranking)], [c.score for c in by_rank(ranking)])
        for qid, ranking in rankings.items()
    }


def _final_run(rankings: dict[str, Ranking]) -> Run:
    return {
        qid: _falling([hit.candidate.docid for hit in ranking.hits], run_scores(ranking.hits))
        for qid, ranking in rankings.items()
    }


def _blended_run(rankings: dict[str, Ranking]) -> Run:
    """Return the run of half model, half BM25: `--fusion linear --normalization z_score --fusion-weight 0.5`."""
    run = {}
    for qid, ranking in rankings.items():
        scored = [hit for hit in ranking.hits if hit.rerank_score is not None]
        candidates = [hit.candidate for hit in scored]
        fused = BLEND.fuse([hit.rerank_score for hit in scored if hit.rerank_score is not None], candidates)
        order = best_first(fused, candidates)
        run[qid] = _falling([candidates[i].docid for i in order], [fused[i] for i in order])
    return run


def _falling(docids: Sequence[str], scores: Sequence[float]) -> dict[str, float]:
    return dict(zip(docids, strictly_falling(scores), strict=True))


def _ndcg(qrels: Qrels, run: Run) -> float:
    return float(evaluator([nDCG @ 10], qrels).calc_aggregate(run)[nDCG @ 10])


def _overlap(one: dict[str, Ranking], other: dict[str, Ranking]) -> float:
    shares = []
    for qid, ranking in one.items():
        left = {hit.candidate.docid for hit in ranking.hits}
        right = {hit.candidate.docid for hit in other[qid].hits}
        shares.append(len(left & right) / max(len(left), len(right), 1))
    return sum(shares) / len(shares)


def _difference(one: dict[str, Ranking], other: dict[str, Ranking]) -> float:
    largest = 0.0
    for qid, ranking in one.items():
        scores = {hit.candidate.docid: hit.rerank_score for hit in other[qid].hits}
        for hit in ranking.hits:
            theirs = scores.get(hit.candidate.docid)
            if theirs is not None and hit.rerank_score is not None:
                largest = max(largest, abs(theirs - hit.rerank_score))
    return largest


def main() -> None:
    """Print the table of one or more collections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="+", type=Path, metavar="COLLECTION")
    parser.add_argument("--url", default="http://localhost:9200")
    arguments = parser.parse_args()

    rerankers = (load_reranker(), load_reranker())
    for folder in arguments.collections:
        with tempfile.TemporaryDirectory() as scratch:
            found = compare(read_collection(folder), connect(arguments.url), rerankers, Path(scratch) / "index")
        figures = " | ".join(f"{name} {value:.4f}" for name, value in found.ndcg.items())
        row = f"{folder.name} | {figures} | overlap {found.overlap:.3f} | largest difference {found.difference:.1e}"
        print(row)  # noqa: T201 - a benchmark prints


if __name__ == "__main__":
    main()
