"""A transformer of PyTerrier that reranks: `bm25 % 100 >> Sidecar()`, also in `pt.Experiment`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from sidecar.core.candidates import Candidate, Ranking
from sidecar.core.errors import InputError
from sidecar.core.fusion import Fusion, Method
from sidecar.experiments.run_files import run_scores, strictly_falling
from sidecar.integrations.scoring import as_reranker, missing, passage
from sidecar.reranker import Reranker
from sidecar.scoring.checkpoints.presets import DEFAULT

try:
    import pandas as pd
    import pyterrier as pt
except ImportError as error:
    raise missing("PyTerrier", "pyterrier", error) from error


class Sidecar(pt.Transformer):
    """Rerank the documents of each query.

    `model` is a preset, a directory, a hub name or a `Reranker`; `options` are those of `load_reranker`, `fusion` too.
    The frame needs `qid`, `docno`, `text_field` and the query in `query_field`: `query`, or `query_0` behind a query
    expansion. `title_field` names a column of titles. `score` holds the first stage's scores, for the fusion; without
    the column the model alone decides. All documents are reranked: cut the list before (`% 100`).

    The result has the same columns and documents, best first, with new `score` and `rank`, and the model's raw score
    as `rerank_score`. Documents without text are not scored and follow.
    """

    def __init__(
        self,
        model: str | Reranker = DEFAULT,
        *,
        text_field: str = "text",
        title_field: str | None = None,
        query_field: str = "query",
        **options: Any,
    ) -> None:
        super().__init__()
        self.text_field, self.title_field, self.query_field = text_field, title_field, query_field
        self.reranker = as_reranker(model, options)

    def __repr__(self) -> str:
        return f"Sidecar({self.reranker.scorer.name!r})"

    def transform(self, inp: pd.DataFrame) -> pd.DataFrame:
        """Return the reranked frame. Raises `InputError` for an empty query or scores that are not finite."""
        needed = [self.query_field, self.text_field, *([self.title_field] if self.title_field else [])]
        pt.validate.columns(inp, includes=["qid", "docno", *needed], context=self)
        fused = self.reranker.fusion.method is not Method.RERANK
        if "score" not in inp.columns and fused and self._chosen_fusion(self.reranker.fusion):
            raise InputError(
                "the fusion needs the first stage's scores, and there is no column 'score'.",
                remedy="Put Sidecar behind a retriever, or use Fusion(Method.RERANK).",
            )
        rows: list[int] = []
        scores: list[float] = []
        raw: list[float] = []
        for places, ranking in self.reranker.rank_all(self._asked(inp)):
            rows += [places[hit.candidate.rank - 1] for hit in ranking.hits]
            scores += strictly_falling(run_scores(ranking.hits))
            raw += _raw(ranking)
        found = inp.iloc[rows].drop(columns=["rank"], errors="ignore").reset_index(drop=True)
        found = found.assign(score=pd.Series(scores, dtype="float64"), rerank_score=pd.Series(raw, dtype="float64"))
        ranks = found.groupby("qid", sort=False).cumcount() + pt.model.FIRST_RANK
        return found.assign(rank=ranks.astype("int64"))

    def _chosen_fusion(self, fusion: Fusion) -> bool:
        """Return whether the fusion was chosen by the caller; the model's own needs no scores to fall back."""
        return fusion != self.reranker.scorer.manifest.preferred_fusion

    def _asked(self, inp: pd.DataFrame) -> Iterator[tuple[list[int], str, list[Candidate]]]:
        """Yield the rows of each query in first-stage order, its text, and its candidates."""
        for qid, places in inp.groupby("qid", sort=False).indices.items():
            ordered = self._first_stage_order(inp, list(places))
            queries = {inp[self.query_field].iloc[place] for place in ordered}
            if len(queries) != 1:
                raise InputError(f"query {qid!r} has {len(queries)} different texts.", remedy="Give each query one.")
            candidates = [self._candidate(inp, place, rank) for rank, place in enumerate(ordered, start=1)]
            yield ordered, queries.pop(), candidates

    def _first_stage_order(self, inp: pd.DataFrame, places: list[int]) -> list[int]:
        if "rank" in inp.columns:
            return sorted(places, key=lambda place: inp["rank"].iloc[place])
        if "score" in inp.columns:
            return sorted(places, key=lambda place: -inp["score"].iloc[place])
        return places

    def _candidate(self, inp: pd.DataFrame, place: int, rank: int) -> Candidate:
        docid = str(inp["docno"].iloc[place])
        score = float(inp["score"].iloc[place]) if "score" in inp.columns else 0.0
        if not math.isfinite(score):
            raise InputError(f"document {docid!r} has the score {score}.", remedy="Give finite first-stage scores.")
        title = inp[self.title_field].iloc[place] if self.title_field else None
        return Candidate(docid, rank, score, passage(inp[self.text_field].iloc[place], title))


def _raw(ranking: Ranking) -> list[float]:
    return [math.nan if hit.rerank_score is None else hit.rerank_score for hit in ranking.hits]
