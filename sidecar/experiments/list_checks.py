"""Check candidate lists against the needs of a run before anything is scored, and remove unwanted candidates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sidecar.core.errors import ConfigurationError, InputError
from sidecar.core.text_lines import fits_column
from sidecar.experiments.candidate_lists import CandidateList
from sidecar.experiments.run_files import RunFormat


@dataclass(frozen=True, slots=True)
class Demands:
    """How lists are used: written as `run_format`, reranked to `window`, and `fused` with their first-stage scores.

    With `remove_query` a candidate whose docid is the query's id is removed, since ArguAna's queries are documents.
    """

    run_format: RunFormat
    window: int
    fused: bool
    remove_query: bool = False

    def check(self, lists: Iterable[CandidateList]) -> Iterator[CandidateList]:
        """Yield the lists, and check that they can be ranked and written. Raises `InputError`."""
        for found in lists:
            checked = _without_query(found) if self.remove_query else found
            self._check_order(checked)
            if not checked.ordered:
                # Equal scores, so that the model alone decides, whatever fusion it prefers.
                checked = replace(checked, candidates=[replace(one, score=0.0) for one in checked.candidates])
            self._check_ids(checked)
            yield checked

    def _check_order(self, found: CandidateList) -> None:
        if found.ordered:
            return
        place, count = _place(found), len(found.candidates)
        if count > self.window:
            raise InputError(
                f"{place} has {count} candidates without an order, of which only {self.window} would be reranked.",
                remedy=f"Rerank all of them: --window {count} or more.",
            )
        if self.fused:
            raise InputError(
                f"{place} has candidates without first-stage scores, which a fusion needs.",
                remedy="Use --fusion rerank, or a file with ranks or scores.",
            )

    def _check_ids(self, found: CandidateList) -> None:
        columns = self.run_format is not RunFormat.JSONL
        for what, name in [("query", found.qid), *(("document", one.docid) for one in found.candidates)]:
            if not name or (columns and not fits_column(name)):
                raise InputError(
                    f"{_place(found)} has the {what} id {name!r}, which a run can't hold.",
                    remedy="Ids must not be empty or hold white space; only the format jsonl can hold white space.",
                )


def check_tag(tag: str) -> str:
    """Return a run's tag. Raises `ConfigurationError` if it can't be the last column of a TREC run."""
    if not fits_column(tag):
        raise ConfigurationError(f"the tag {tag!r} can't be a column of a run.", remedy="Give --tag one word.")
    return tag


def _without_query(found: CandidateList) -> CandidateList:
    kept = [index for index, candidate in enumerate(found.candidates) if candidate.docid != found.qid]
    if len(kept) == len(found.candidates):
        return found
    return replace(
        found,
        candidates=[replace(found.candidates[index], rank=rank) for rank, index in enumerate(kept, start=1)],
        docs=[found.docs[index] for index in kept],
        labels=[found.labels[index] for index in kept] if found.labels else [],
    )


def _place(found: CandidateList) -> str:
    return f"{found.source}: query {found.qid!r}" if found.source else f"query {found.qid!r}"
