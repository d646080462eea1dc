"""The middle of every long run: candidate lists in, one finished query after the other into the journal.

Memory holds one list at a time, and the journal's query ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sidecar.candidates import Candidate, Ranked, Ranking, Ranks
from sidecar.documents import PassageFields, nothing_to_read
from sidecar.experiments.candidate_files import CandidateList
from sidecar.experiments.journal import Journal
from sidecar.experiments.run_files import candidate_list, run_hits


@dataclass(frozen=True, slots=True)
class Depth:
    """How deep a run goes: the first `window` candidates are reranked, the first `hits` of the outcome are kept.

    `documents` says whether each hit's document is kept too.
    """

    window: int
    hits: int | None = None
    documents: bool = False


def rerank_lists(
    lists: Iterable[CandidateList],
    ranks: Ranks,
    journal: Journal,
    depth: Depth,
    *,
    finished: Callable[[Ranking], None] = lambda _: None,
) -> None:
    """Rerank every list that the journal has not; `finished` is told each ranking once it is kept."""
    for found in lists:
        if found.qid in journal.done:
            continue
        ranking = rank_window(ranks, found.query, found.candidates, depth.window)
        hits = run_hits(ranking, found.docs if depth.documents else None)[: depth.hits]
        journal.add(found.qid, candidate_list(found.qid, found.query, hits))
        finished(ranking)


def rank_window(ranks: Ranks, query: str, candidates: Sequence[Candidate], window: int) -> Ranking:
    """Rerank the first `window` candidates; the others follow, unscored, in first-stage order."""
    ranking = ranks.rank(query, candidates[:window])
    beyond = [Ranked(candidate, rank, None, None) for rank, candidate in enumerate(candidates[window:], window + 1)]
    return replace(ranking, hits=(*ranking.hits, *beyond))


class TextWatch:
    """Passes lists on, and warns once where the model has nothing to read in a whole window.

    `empty` counts the window's candidates without text, `unreadable` the queries with nothing else.
    """

    def __init__(self, fields: PassageFields, window: int, warn: Callable[[str], None]) -> None:
        self.empty = self.unreadable = 0
        self._fields, self._window, self._warn = fields, window, warn

    def __call__(self, lists: Iterable[CandidateList]) -> Iterator[CandidateList]:
        """The same lists."""
        for found in lists:
            window = found.candidates[: self._window]
            empty = sum(candidate.passage.is_empty for candidate in window)
            self.empty += empty
            if window and empty == len(window):
                self.unreadable += 1
                if self.unreadable == 1:
                    self._warn(f"query {found.qid!r}: {nothing_to_read(found.docs, self._fields)}")
            yield found
