"""Judgements of relevance in the usual file formats: every line is read, or the file is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sidecar.core.collection_folders import qrels_file
from sidecar.core.errors import InputError
from sidecar.core.text_lines import names_columns, numbered_lines
from sidecar.experiments.datasets import Dataset, open_dataset
from sidecar.experiments.grades import whole_grade

# Query id → docid → grade.
Qrels = dict[str, dict[str, int]]

# A first line is a header only if each of its columns is one of these.
_QUERY = {"query-id", "query_id", "queryid", "qid", "topic", "topic_id"}
_ITERATION = {"0", "q0", "iter", "iteration", "unused"}
_DOCUMENT = {"corpus-id", "corpus_id", "doc-id", "doc_id", "docid", "docno", "pid", "passage_id", "document_id"}
_GRADE = {"score", "grade", "label", "relevance", "rel", "judgment", "judgement"}

_EXPECTED = "Expected a TREC judgement (qid 0 docid grade) or a BEIR one (qid, docid, grade), grades whole numbers."


def read_qrels(path: Path) -> Qrels:
    """Read judgements from a TREC file (`qid 0 docid grade`) or a tab-separated one (`qid docid grade`, with header).

    A BEIR folder and the name of a dataset (see `datasets`) are read, too. Grades may be written `2.0`; the same
    judgement may occur twice. Raises `InputError` with file and line for a malformed line, and with both lines for
    two grades of one document.
    """
    qrels: Qrels = {}
    for where, qid, docid, grade in _judgements(path):
        grades = qrels.setdefault(qid, {})
        if grades.setdefault(docid, grade) != grade:
            first = next(place for place, *pair, _ in _judgements(path) if pair == [qid, docid])
            raise InputError(
                f"{where}: document {docid!r} of query {qid!r} is judged {grade}, but {grades[docid]} in {first}.",
                remedy="Keep only one of the two judgements.",
            )
    if not qrels:
        raise InputError(f"{path} holds no judgement.")
    return qrels


def _judgements(path: Path) -> Iterator[tuple[str, str, str, int]]:
    dataset = open_dataset(path)
    if dataset is not None:
        yield from _of_dataset(dataset)
        return
    for number, (where, line) in enumerate(numbered_lines(qrels_file(path))):
        columns = _columns(line.decode(), where)
        if number == 0 and is_qrels_header(columns):
            continue
        grade = whole_grade(columns[-1])
        if grade is None:
            raise InputError(f"{where}: the grade {columns[-1]!r} is not a whole number.", remedy=_EXPECTED)
        yield where, columns[0], columns[-2], grade


def _of_dataset(dataset: Dataset) -> Iterator[tuple[str, str, str, int]]:
    for number, one in enumerate(dataset.qrels(), start=1):
        yield f"{dataset.name}, judgement {number}", one.query_id, one.doc_id, int(one.relevance)


def _columns(line: str, where: str) -> list[str]:
    columns = line.split()
    by_tab = [column.strip() for column in line.split("\t")]
    # `q1<TAB>doc 1<TAB>2` must not be taken for a TREC line with the document `1`.
    if len(columns) not in {3, 4} or (len(by_tab) in {3, 4} and by_tab != columns):
        raise InputError(f"{where}: no judgement.", remedy=_EXPECTED)
    return columns


def is_qrels_header(columns: Sequence[str]) -> bool:
    """True if a first line names the columns of judgements."""
    return names_columns(columns, _QUERY, _DOCUMENT, _GRADE) or names_columns(
        columns, _QUERY, _ITERATION, _DOCUMENT, _GRADE
    )
