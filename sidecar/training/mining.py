"""Hard negatives: what the first stage ranks high and nobody judged relevant, beside what somebody did.

Knows no engine: candidate lists come from a connector, the texts of relevant documents that it missed from a corpus.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from sidecar.candidates import Candidate
from sidecar.corpus import read_lines
from sidecar.documents import PassageFields
from sidecar.experiments.candidate_files import CandidateList, passage_in

Qrels = Mapping[str, Mapping[str, int]]


@dataclass(slots=True)
class Mined:
    """What came of mining: queries written, their relevant documents, and what was left out for want of what."""

    queries: int = 0
    positives: int = 0
    negatives: int = 0
    without_positive: int = 0
    positives_without_text: int = 0
    texts: dict[str, bytes] = field(default_factory=dict, repr=False)


def texts_of(corpus: Path, docids: Iterable[str]) -> dict[str, bytes]:
    """The lines of a corpus for these docids; one that is not there is left out. Raises InputError."""
    wanted = frozenset(docids)
    return {docid: line for docid, line in read_lines(corpus) if docid in wanted}


def mine(  # noqa: PLR0913  each is a source or a limit, by keyword
    lists: Iterable[CandidateList],
    qrels: Qrels,
    mined: Mined,
    *,
    fields: PassageFields,
    negatives: int,
    unjudged: bool = True,
) -> Iterator[bytes]:
    """A labelled candidate list, as a line of JSON, for each query with a relevant document.

    First the judged-relevant documents, from the hits or from `mined.texts`, then at most `negatives` others in
    first-stage order: judged irrelevant, or with `unjudged` unjudged too. `mined` counts.
    """
    for found in lists:
        grades = qrels.get(found.qid, {})
        hits = dict(
            zip((c.docid for c in found.candidates), zip(found.candidates, found.docs, strict=True), strict=True)
        )
        positives = [
            _entry(docid, grade, hits.get(docid), mined.texts.get(docid), fields)
            for docid, grade in grades.items()
            if grade > 0
        ]
        with_text = [entry for entry in positives if entry is not None]
        mined.positives_without_text += len(positives) - len(with_text)
        if not with_text:
            mined.without_positive += 1
            continue
        others = _others(found, grades, mined.texts, fields, unjudged=unjudged)
        below = [entry for entry in others if entry is not None][:negatives]
        mined.queries += 1
        mined.positives += len(with_text)
        mined.negatives += len(below)
        yield msgspec.json.encode({"query_id": found.qid, "query": found.query, "candidates": [*with_text, *below]})


def _others(
    found: CandidateList,
    grades: Mapping[str, int],
    texts: Mapping[str, bytes],
    fields: PassageFields,
    *,
    unjudged: bool,
) -> Iterator[dict[str, Any] | None]:
    hits = {candidate.docid for candidate in found.candidates}
    for candidate, doc in zip(found.candidates, found.docs, strict=True):
        if grades.get(candidate.docid, 0) <= 0 and (unjudged or candidate.docid in grades):
            yield _entry(candidate.docid, 0, (candidate, doc), None, fields)
    for docid, grade in grades.items():
        if grade <= 0 and docid not in hits:
            yield _entry(docid, 0, None, texts.get(docid), fields)


def _entry(
    docid: str, label: int, hit: tuple[Candidate, bytes] | None, text: bytes | None, fields: PassageFields
) -> dict[str, Any] | None:
    """One candidate as a labelled list has it; None where there is no text to be had."""
    passage = hit[0].passage if hit is not None else passage_in(text, fields) if text is not None else None
    if passage is None or passage.is_empty:
        return None
    entry: dict[str, Any] = {"docid": docid, "label": label, "title": passage.title, "text": passage.text}
    return entry if hit is None else {**entry, "score": hit[0].score}
