"""The scores of a sweep: each model reads each pair of query and passage once, whatever first stage found it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sidecar.cli.factories import build_reranker
from sidecar.cli.progress import Pace, progress
from sidecar.core.candidates import Passage, Score
from sidecar.core.document_input import read_query
from sidecar.core.errors import InputError
from sidecar.experiments.candidate_lists import CandidateList
from sidecar.experiments.fusion_arrays import ScoredList
from sidecar.experiments.stage_files import StageFile
from sidecar.scoring import Scorer
from sidecar.scoring.prefetch import prefetch
from sidecar.scoring.score_store import ScoreStore
from sidecar.settings import Settings


@dataclass(frozen=True, slots=True)
class Query:
    """A query with its candidates in each first stage."""

    qid: str
    text: str
    lists: Mapping[str, CandidateList]

    def passages(self, window: int) -> list[Passage]:
        """Return the passages of all windows, each once; those without text are left out."""
        found = (one.passage for listed in self.lists.values() for one in listed.candidates[:window])
        return list(dict.fromkeys(passage for passage in found if not passage.is_empty))


def score_queries(
    settings: Settings, files: Mapping[str, StageFile], qids: Sequence[str], window: int, store: ScoreStore
) -> dict[str, list[ScoredList]]:
    """Score the first `window` candidates of each first stage; returns the lists of each in the order of `qids`.

    The scores of a query are computed together, in one order, and stored together, so an interrupted sweep has the
    same ones when it goes on.
    """
    # Embeddings that don't depend on their batch may be kept: the scores are the same after an interruption.
    scorer = build_reranker(settings, remember=settings.batch_invariant, store=store).scorer
    pace = Pace("queries", total=len(qids))
    found: dict[str, list[ScoredList]] = {name: [] for name in files}
    before, scored = store.found, 0
    with progress(f"scoring with {settings.model}", pace) as meter:
        for query, scores in _scored(scorer, read_lists(files, qids), window):
            for name, listed in query.lists.items():
                found[name].append(_scored_list(listed, scores, window))
            scored += len(scores)
            # Scores from the score file, which are looked up in advance, don't count for the rate.
            pace.passages = max(0, scored - (store.found - before))
            meter.advance()
    return found


def read_lists(files: Mapping[str, StageFile], qids: Sequence[str]) -> Iterator[Query]:
    """Yield each query with its candidates. Raises `InputError` if two first stages have different texts of it."""
    for qid in qids:
        lists = {name: file.read(qid) for name, file in files.items()}
        texts = list(dict.fromkeys(one.query for one in lists.values() if one.query))
        if len(texts) > 1:
            raise InputError(
                f"the query {qid!r} is {texts[0][:80]!r} in one first stage, and {texts[1][:80]!r} in another.",
                remedy="All first stages of a sweep answer the same queries.",
            )
        yield Query(qid, texts[0] if texts else "", lists)


def _scored(
    scorer: Scorer, queries: Iterator[Query], window: int
) -> Iterator[tuple[Query, dict[tuple[str, str], Score]]]:
    def read(query: Query) -> tuple[list[Passage], Any]:
        passages = query.passages(window)
        return passages, scorer.read(read_query(query.text), passages) if passages else None

    for query, (passages, tokenized) in prefetch(queries, read):
        scores = [] if tokenized is None else scorer.score_all([tokenized])[0]
        yield query, {(one.title, one.text): score for one, score in zip(passages, scores, strict=True)}


def _scored_list(listed: CandidateList, scores: Mapping[tuple[str, str], Score], window: int) -> ScoredList:
    model = np.full(len(listed.candidates), np.nan)
    for place, candidate in enumerate(listed.candidates[:window]):
        if not candidate.passage.is_empty:
            model[place] = scores[candidate.passage.title, candidate.passage.text].value
    first = np.array([one.score for one in listed.candidates], dtype=float)
    return ScoredList([one.docid for one in listed.candidates], first, model)
