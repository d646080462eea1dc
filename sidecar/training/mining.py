"""Mine hard negatives: passages that the first stage ranks high but that were not judged relevant, and positives.

Knows no engine: candidate lists come from a connector, the texts of relevant documents that it missed from a corpus.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from sidecar.core.candidates import Passage
from sidecar.core.corpus import read_lines
from sidecar.core.documents import PassageFields
from sidecar.experiments.candidate_lists import CandidateList, passage_in

Qrels = Mapping[str, Mapping[str, int]]


@dataclass(slots=True)
class Mined:
    """Counts of mining: queries written, their relevant documents, and what was left out and why.

    `positives_not_found` are neither hits of the first stage nor in `texts`; `positives_without_text` were found, but
    have no text in the fields that are read.
    """

    queries: int = 0
    positives: int = 0
    negatives: int = 0
    without_positive: int = 0
    positives_without_text: int = 0
    positives_not_found: int = 0
    texts: dict[str, bytes] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        """Say in one line what was written and what was left out."""
        left_out = {
            "relevant documents were not found by the first stage": self.positives_not_found,
            "relevant documents have no text": self.positives_without_text,
            "queries without any relevant passage were left out": self.without_positive,
        }
        written = f"{self.queries} queries with {self.positives} relevant and {self.negatives} irrelevant passages"
        return "; ".join([written, *(f"{count} {what}" for what, count in left_out.items() if count)])


def texts_of(corpus: Path, docids: Iterable[str]) -> dict[str, bytes]:
    """Return the lines of a corpus for these docids; missing ones are left out. Raises InputError."""
    wanted = frozenset(docids)
    found: dict[str, bytes] = {}
    for document in read_lines(corpus):
        if document.docid in wanted:
            document.check()
            found[document.docid] = document.line
    return found


def mine(  # noqa: PLR0913  sources and limits, by keyword
    lists: Iterable[CandidateList],
    qrels: Qrels,
    mined: Mined,
    *,
    fields: PassageFields,
    negatives: int,
    unjudged: bool = True,
) -> Iterator[bytes]:
    """Yield a labelled candidate list, as a line of JSON, for each query with a relevant document that has text.

    The hits come in first-stage order: all that are judged relevant, and of the others the first `negatives`; with
    `unjudged` these may lack a judgement. Judged documents that the first stage missed follow, if `mined.texts` has
    them. `mined` counts.
    """
    for found in lists:
        grades = qrels.get(found.qid, {})
        entries = [*_hits(found, grades, unjudged=unjudged), *_missed(found, grades, mined, fields)]
        positives = sum(entry["label"] > 0 for entry in entries)
        if not positives:
            mined.without_positive += 1
            continue
        below = [at for at, entry in enumerate(entries) if entry["label"] == 0][negatives:]
        candidates = [entry for at, entry in enumerate(entries) if at not in set(below)]
        mined.queries += 1
        mined.positives += positives
        mined.negatives += len(candidates) - positives
        yield msgspec.json.encode({"query_id": found.qid, "query": found.query, "candidates": candidates})


def _hits(found: CandidateList, grades: Mapping[str, int], *, unjudged: bool) -> Iterator[dict[str, Any]]:
    for candidate in found.candidates:
        if not candidate.passage.is_empty and (unjudged or candidate.docid in grades):
            grade = grades.get(candidate.docid, 0)
            yield {**_entry(candidate.docid, grade, candidate.passage), "score": candidate.score}


def _missed(
    found: CandidateList, grades: Mapping[str, int], mined: Mined, fields: PassageFields
) -> Iterator[dict[str, Any]]:
    """Return the judged documents that are not hits with text."""
    there = {candidate.docid for candidate in found.candidates if not candidate.passage.is_empty}
    hits = {candidate.docid for candidate in found.candidates}
    for docid, grade in grades.items():
        if docid in there:
            continue
        line = mined.texts.get(docid)
        passage = Passage("", "") if line is None else passage_in(line, fields)
        if not passage.is_empty:
            yield _entry(docid, grade, passage)
        elif grade > 0 and line is None and docid not in hits:
            mined.positives_not_found += 1
        elif grade > 0:
            mined.positives_without_text += 1


def _entry(docid: str, grade: int, passage: Passage) -> dict[str, Any]:
    # Some collections grade spam below 0.
    return {"docid": docid, "label": max(grade, 0), "title": passage.title, "text": passage.text}
