"""A searcher with the two methods of Pyserini's, whose hits are reranked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from connectors.pyserini.connector import LuceneRequest, PyseriniConnector, Searcher
from connectors.pyserini.hits import RerankedHit
from connectors.pyserini.index import LuceneIndex
from sidecar.core.candidates import Ranks
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError

# The hits of one batch of BM25 wait in memory, with their text, to be reranked query by query.
_ROUND = 64


class RerankingSearcher:
    """BM25 and a reranker behind `search` and `batch_search`, the methods of Pyserini's `LuceneSearcher`.

    `index` is the directory of a Lucene index or the name of one of Pyserini's prebuilt ones (opened with k1 = 0.9 and
    b = 0.4), a `LuceneIndex`, a `PyseriniServer`, or a searcher of Pyserini's. Opening raises what `LuceneIndex`
    raises.
    """

    def __init__(
        self, index: str | Path | Searcher, reranker: Ranks, *, window: int = 100, fields: PassageFields | None = None
    ) -> None:
        searcher = LuceneIndex(index) if isinstance(index, str | Path) else index
        self._connector = PyseriniConnector(searcher, fields)
        self._reranker = reranker
        self._window = window

    def search(self, query: str, k: int = 10, window: int | None = None) -> list[RerankedHit]:
        """Return the `k` best hits after reranking the first `window` of BM25 (default: the searcher's)."""
        first_stage = self._connector.fetch(LuceneRequest(query, k, self._window if window is None else window))
        return self._connector.respond(
            first_stage, self._reranker.rank_candidates(first_stage.query, first_stage.candidates)
        )

    def batch_search(
        self, queries: Sequence[str], qids: Sequence[str], k: int = 10, threads: int = 1, window: int | None = None
    ) -> dict[str, list[RerankedHit]]:
        """Return the result of `search` for each query, by its qid. `threads` are Lucene's; the model has its own."""
        if len(queries) != len(qids) or len(set(qids)) != len(qids):
            raise InputError(
                f"{len(queries)} queries with {len(set(qids))} different qids.", remedy="Give each query a qid."
            )
        depth = self._window if window is None else window
        requests = [(qid, LuceneRequest(query, k, depth)) for qid, query in zip(qids, queries, strict=True)]
        answers: dict[str, list[RerankedHit]] = {}
        for start in range(0, len(requests), _ROUND):
            found = self._connector.fetch_batch(dict(requests[start : start + _ROUND]), threads)
            for qid, first_stage in found.items():
                ranking = self._reranker.rank_candidates(first_stage.query, first_stage.candidates)
                answers[qid] = self._connector.respond(first_stage, ranking)
        return answers
