"""Detect training data that contain the evaluation: its queries, or the documents judged relevant for them.

Texts are compared after `normalised`: a query that differs in case, accents' encoding, punctuation or white space is
the same query.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sidecar.core.documents import PassageFields
from sidecar.core.json_lines import is_object, records
from sidecar.experiments.candidate_files import read_candidates
from sidecar.experiments.datasets import dataset_id
from sidecar.experiments.pair_files import has_pairs
from sidecar.experiments.qrels import Qrels, read_qrels
from sidecar.experiments.topics import read_topics
from sidecar.training.groups import Group
from sidecar.training.reading import Refusals, read_training
from sidecar.training.shapes import training_shape

_NO_WORD = re.compile(r"[\W_]+")


@dataclass(slots=True)
class EvaluationData:
    """The evaluation's data: its `queries`, relevant `passages` (normalised) and `docids`."""

    queries: set[str] = field(default_factory=set)
    passages: set[str] = field(default_factory=set)
    docids: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Contamination:
    """Indices of groups whose query is evaluated, and of those with a positive that is judged relevant there."""

    queries: list[int]
    positives: list[int]

    @property
    def all(self) -> set[int]:
        """Return every contaminated group."""
        return {*self.queries, *self.positives}


def normalised(text: str) -> str:
    """Return only the words, in one case and one encoding, with single spaces."""
    return _NO_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def read_evaluation(
    paths: Sequence[Path], fields: PassageFields, tell: Callable[[str], None] = lambda _: None
) -> EvaluationData:
    """Read evaluation files: topics, qrels, candidate lists or training files, recognised by their first line.

    A BEIR folder or a dataset (see `datasets`) is read for both topics and qrels. Qrels give docids, which are valid
    only in the same collection; the others give texts. One qrels file may judge the queries of a whole collection: if
    it judges some of the topics that are given beside it, only those count, and `tell` is called with that fact. Raises
    InputError.
    """
    found = EvaluationData()
    qids: set[str] = set()
    judged: list[tuple[Path, Qrels]] = []
    for path in paths:
        first = _first_record(path)
        has_queries = first is not None and _has_queries(first)
        if first is None or has_queries:
            qids.update(_add_queries(path, first or b"", fields, found))
        if not has_queries:
            judged.append((path, read_qrels(path)))
    for path, qrels in judged:
        chosen = qrels.keys() & qids or qrels.keys()
        if len(chosen) < len(qrels):
            others = len(qrels) - len(chosen)
            tell(f"{path}: {len(chosen)} queries are evaluated; {others} others are judged, too, and ignored.")
        found.docids.update(docid for qid in chosen for docid, grade in qrels[qid].items() if grade > 0)
    # A text of punctuation only normalises to nothing, so it is not compared.
    found.queries.discard("")
    found.passages.discard("")
    return found


def _first_record(path: Path) -> bytes | None:
    """Return the first record of a file; None for a folder or a dataset, which hold both queries and qrels."""
    if path.is_dir() or dataset_id(path) is not None:
        return None
    return next(records(path), ("", b""))[1]


def _has_queries(first: bytes) -> bool:
    """True if a file that begins with this record holds queries; else it holds qrels."""
    columns = first.split(b"\t")
    return is_object(first) or len(columns) == 2 or first.lstrip().lower().startswith(b"<top") or _is_text(first)


def _is_text(line: bytes) -> bool:
    """True if a line of columns belongs to one of MS MARCO's files of texts: triples, or `top1000.dev`."""
    columns = line.split(b"\t")
    return len(columns) in {3, 4} and any(b" " in column.strip() for column in columns)


def find_contamination(groups: Sequence[Group], evaluation: EvaluationData) -> Contamination:
    """Compare each group's query, and the docid and text of its positives."""
    queries = [index for index, group in enumerate(groups) if normalised(group.query) in evaluation.queries]
    positives = [index for index, group in enumerate(groups) if any(_known(group, evaluation))]
    return Contamination(queries, positives)


def _known(group: Group, evaluation: EvaluationData) -> Iterator[bool]:
    for index in group.positives:
        text = group.passages[index].text
        yield group.docids[index] in evaluation.docids or normalised(text) in evaluation.passages


def _add_queries(path: Path, first: bytes, fields: PassageFields, found: EvaluationData) -> set[str]:
    """Add the queries of a file and its relevant documents; return the ids of its queries."""
    if training_shape(first) is not None:
        refuse = Refusals(drop=True, counts={}, drop_contradictions=True)
        for group in read_training(path, fields, refuse, labelled=False):
            found.queries.add(normalised(group.query))
            found.passages.update(normalised(group.passages[index].text) for index in group.positives)
        return set()
    qids: set[str] = set()
    if has_pairs(first) or (is_object(first) and b'"candidates"' in first):
        for found_list in read_candidates(path, fields):
            qids.add(found_list.qid)
            found.queries.add(normalised(found_list.query))
            graded = zip(found_list.candidates, found_list.labels, strict=True)
            found.passages.update(normalised(candidate.passage.text) for candidate, label in graded if label)
        return qids
    for qid, text in read_topics(path):
        qids.add(qid)
        found.queries.add(normalised(text))
    return qids
