"""Use Lucene as a connector: BM25 hits become candidates, a ranking becomes Lucene hits again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from connectors.pyserini.hits import LuceneHit, RerankedHit, document_line
from connectors.pyserini.index import check_query
from connectors.pyserini.searching import searching
from sidecar.core.candidates import Candidate, FirstStage, Ranking
from sidecar.core.documents import PassageFields, passage_of
from sidecar.core.errors import InputError
from sidecar.core.fusion import tail_scores


class Searcher(Protocol):
    """The methods of a searcher: `LuceneIndex`, `PyseriniServer` and Pyserini's own searchers have them.

    A hit has `docid`, `score`, `lucene_docid` and either `raw` and `contents` or a `lucene_document` that has them;
    for a hit with neither, the searcher's `doc(docid)` is asked for `raw()` and `contents()`.
    """

    def search(self, query: str, /, k: int = 10) -> Sequence[Any]:
        """Return the first `k` hits, best first."""
        ...


@dataclass(frozen=True, slots=True)
class LuceneRequest:
    """A query and how many hits to answer with; the first `window` of the first stage are reranked."""

    query: str
    hits: int = 10
    window: int = 100

    def __post_init__(self) -> None:
        check_query(self.query)
        if self.hits < 1 or self.window < 1:
            raise InputError(
                f"{self.hits} hits out of a window of {self.window}.", remedy="Both must be whole numbers from 1 on."
            )

    @property
    def depth(self) -> int:
        """Return how many hits the first stage has to give."""
        return max(self.hits, self.window)


@dataclass(frozen=True, slots=True)
class LuceneFirstStage:
    """The request and all hits that were fetched for it, in Lucene's order."""

    request: LuceneRequest
    hits: tuple[LuceneHit, ...]

    def documents(self) -> list[bytes]:
        """Return each hit's stored document as one line of JSON."""
        return [document_line(hit) for hit in self.hits]


class PyseriniConnector:
    """Lucene as a `Connector`: a `LuceneIndex`, a `PyseriniServer`, or the caller's own Pyserini searcher.

    `fields` names the fields of a stored document that hold title and text.
    """

    def __init__(self, searcher: Searcher, fields: PassageFields | None = None) -> None:
        self._searcher = searcher
        self._fields = fields or PassageFields()

    def fetch(self, request: LuceneRequest) -> FirstStage[LuceneFirstStage]:
        """Run BM25. Raises InputError or EngineError; Python errors of the caller's own searcher are not changed."""
        with searching(f"the query {request.query[:80]!r}"):
            return self._first_stage(request, self._searcher.search(request.query, k=request.depth))

    def fetch_batch(
        self, requests: Mapping[str, LuceneRequest], threads: int = 1
    ) -> dict[str, FirstStage[LuceneFirstStage]]:
        """Run BM25 for many requests by their qid, on `threads` threads if the searcher can."""
        batch_search = getattr(self._searcher, "batch_search", None)
        if batch_search is None or not requests:
            return {qid: self.fetch(request) for qid, request in requests.items()}
        depth = max(request.depth for request in requests.values())
        queries = [request.query for request in requests.values()]
        with searching(f"a batch of {len(queries)} queries"):
            found = batch_search(queries, list(requests), k=depth, threads=threads)
            return {qid: self._first_stage(request, found.get(qid) or ()) for qid, request in requests.items()}

    def respond(self, first_stage: FirstStage[LuceneFirstStage], ranking: Ranking) -> list[RerankedHit]:
        """Return the first hits of the final order.

        The scored ones come first, with the fused score unchanged; then those without text and those beyond the window
        in Lucene's order, each scored below all before it. If nothing was scored, order and scores are Lucene's. Of a
        ranking with a `cut` no other hit follows.
        """
        kept = first_stage.native
        scored = {hit.candidate.rank: hit for hit in ranking.hits if hit.score is not None}
        unscored = [rank for rank in range(1, len(kept.hits) + 1) if rank not in scored and ranking.cut is None]
        if scored:
            lowest = min(hit.score for hit in scored.values() if hit.score is not None)
            tail = tail_scores(lowest, len(unscored))
        else:
            tail = [kept.hits[rank - 1].score for rank in unscored]
        final = [(rank, hit.score, hit.rerank_score) for rank, hit in scored.items()]
        final += [(rank, score, None) for rank, score in zip(unscored, tail, strict=True)]
        return [
            _reranked(kept.hits[rank - 1], rank, score, rerank_score)
            for rank, score, rerank_score in final[: kept.request.hits]
            if score is not None
        ]

    def _first_stage(self, request: LuceneRequest, found: Sequence[Any]) -> FirstStage[LuceneFirstStage]:
        hits = tuple(lucene_hit(hit, self._searcher) for hit in found[: request.depth])
        candidates = [
            Candidate(hit.docid, rank, hit.score, passage_of(hit.raw, hit.contents, self._fields))
            for rank, hit in enumerate(hits[: request.window], start=1)
        ]
        return FirstStage(request.query, candidates, LuceneFirstStage(request, hits))


def lucene_hit(hit: Any, searcher: Searcher) -> LuceneHit:
    """Convert a hit of Pyserini's (a Java ScoredDoc, or one that has only a docid and a score)."""
    if isinstance(hit, LuceneHit):
        return hit
    document = getattr(hit, "lucene_document", None)
    if document is not None:
        raw, contents = document.get("raw"), document.get("contents")
    elif hasattr(hit, "raw"):
        raw, contents = hit.raw, getattr(hit, "contents", None)
    else:
        stored = getattr(searcher, "doc", lambda _: None)(hit.docid)
        raw, contents = (stored.raw(), stored.contents()) if stored is not None else (None, None)
    return LuceneHit(hit.docid, float(hit.score), getattr(hit, "lucene_docid", -1), raw, contents)


def _reranked(hit: LuceneHit, rank: int, score: float, rerank_score: float | None) -> RerankedHit:
    return RerankedHit(
        docid=hit.docid,
        score=score,
        lucene_docid=hit.lucene_docid,
        raw=hit.raw,
        first_stage_score=hit.score,
        first_stage_rank=rank,
        rerank_score=rerank_score,
        sent_doc=hit.sent_doc,
    )
