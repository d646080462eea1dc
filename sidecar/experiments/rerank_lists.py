"""The core of every long run: rerank candidate lists, and write one finished query after the other to the journal.

Memory holds a few lists at a time, and the journal's query ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sidecar.core.candidates import Candidate, Ranked, Ranking, RanksMany
from sidecar.core.documents import PassageFields, nothing_to_read
from sidecar.experiments.candidate_lists import CandidateList
from sidecar.experiments.journal import Journal
from sidecar.experiments.run_files import RunHit, candidate_list, first_stage_hits, run_hits


@dataclass(frozen=True, slots=True)
class Depth:
    """How deep a run goes: the first `window` candidates are reranked, the first `hits` of the result are kept.

    `documents` says whether each hit's document is kept, too, `first_stage` whether the first `hits` of the first stage
    are.
    """

    window: int
    hits: int | None = None
    documents: bool = False
    first_stage: bool = False


def rerank_lists(
    lists: Iterable[CandidateList],
    ranks: RanksMany,
    journal: Journal,
    depth: Depth,
    *,
    finished: Callable[[Ranking], None] = lambda _: None,
) -> None:
    """Rerank every list that the journal lacks; `finished` is called with each ranking once it is kept."""
    open_lists = (found for found in lists if found.qid not in journal.done)
    asked = ((found, found.query, found.candidates[: depth.window]) for found in open_lists)
    for found, windowed in ranks.rank_all(asked):
        ranking = with_the_rest(windowed, found.candidates)
        hits = run_hits(ranking, found.docs if depth.documents else None)[: depth.hits]
        others = _first_stages_own(found, hits, depth) if depth.first_stage else None
        journal.add(found.qid, candidate_list(found.qid, found.query, hits, ranking.stage_two, others))
        finished(ranking)


def _first_stages_own(found: CandidateList, hits: Sequence[RunHit], depth: Depth) -> list[RunHit] | None:
    """Return the first hits of the first stage, unless the run has the same in another order.

    It has others where the window is deeper than the run, or hits of little relevance were left out.
    """
    first = found.candidates[: depth.hits]
    if {hit.first_stage_rank for hit in hits} == {candidate.rank for candidate in first}:
        return None
    return first_stage_hits(first, found.docs if depth.documents else None)


def with_the_rest(ranking: Ranking, candidates: Sequence[Candidate]) -> Ranking:
    """Add the candidates beyond the ranked ones, unscored and in first-stage order; none to a ranking with a `cut`."""
    if ranking.cut is not None:
        return ranking
    window = len(ranking.hits)
    beyond = [Ranked(candidate, rank, None, None) for rank, candidate in enumerate(candidates[window:], window + 1)]
    return replace(ranking, hits=(*ranking.hits, *beyond))


class TextWatch:
    """Passes lists on, and warns once if a whole window has no text for the model.

    `empty` counts the window's candidates without text, `unreadable` the queries with no other candidates; `bare` are
    the ids of the queries without any candidate.
    """

    def __init__(self, fields: PassageFields, window: int, warn: Callable[[str], None]) -> None:
        self.empty = self.unreadable = 0
        self.bare: list[str] = []
        self._fields, self._window, self._warn = fields, window, warn

    def __call__(self, lists: Iterable[CandidateList]) -> Iterator[CandidateList]:
        """Yield the same lists."""
        for found in lists:
            window = found.candidates[: self._window]
            empty = sum(candidate.passage.is_empty for candidate in window)
            self.empty += empty
            if not found.candidates:
                self.bare.append(found.qid)
            if window and empty == len(window):
                self.unreadable += 1
                if self.unreadable == 1:
                    self._warn(f"query {found.qid!r}: {nothing_to_read(found.docs, self._fields)}")
            yield found
