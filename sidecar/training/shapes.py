"""The shapes of training files other than candidate lists: make a group of each line, or of all lines of a query.

* Tevatron's: `{"query_id", "query", "positive_passages": [{"docid", "title", "text"}], "negative_passages": […]}`
* FlagEmbedding's: `{"query", "pos": ["…"], "neg": ["…"]}`
* sentence-transformers': triples `{"query", "positive", "negative"}` (also `anchor`, `negative_1`, …), labelled pairs
  `{"query", "passage", "label"}`, labelled lists `{"query", "docs": ["…"], "labels": […]}`
* MS MARCO's triples of texts: `query<TAB>positive<TAB>negative`

Passages without a docid are named by their content.
Sources: Tevatron/msmarco-passage on the hub; the documentations of FlagEmbedding and sentence-transformers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from sidecar.core.candidates import Passage
from sidecar.core.documents import PassageFields, passage_of_record
from sidecar.core.errors import InputError
from sidecar.core.json_lines import is_object, parse_object
from sidecar.experiments.candidate_lists import read_label
from sidecar.training.groups import Group

Lines = Iterator[tuple[str, bytes]]
Shape = Callable[[Lines, PassageFields], Iterator[Group]]

QUERY_KEYS = ("query", "anchor", "question", "sentence1")
PASSAGE_KEYS = ("passage", "document", "doc", "text", "answer", "response", "sentence2")
LIST_KEYS = ("docs", "documents", "passages")
LABEL_KEYS = ("label", "score")
# Keys of a line that a trainer of another library would use, but ours does not.
UNUSED = ("pos_scores", "neg_scores", "prompt")

EXPECTED = (
    'Expected candidate lists with labels, {"query", "positive_passages", "negative_passages"}, '
    '{"query", "pos", "neg"}, {"query", "positive", "negative"}, {"query", "passage", "label"} '
    'or {"query", "docs", "labels"}.'
)


def training_shape(line: bytes) -> Shape | None:
    """Return the reader for files that begin with this line, None for candidate lists and any other shape."""
    if not is_object(line):
        return _tab_separated if line.count(b"\t") == 2 else None
    try:
        keys = msgspec.json.decode(line, type=dict[str, msgspec.Raw]).keys()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if "candidates" in keys:
        return None
    by_key = {"positive_passages": _tevatron, "pos": _positives_negatives, "positive": _triples, "labels": _labelled}
    one_a_line = next((read for key, read in by_key.items() if key in keys), None)
    if one_a_line is not None:
        return lambda lines, fields: (one_a_line(parse_object(line, where), where, fields) for where, line in lines)
    has_pair = not keys.isdisjoint(PASSAGE_KEYS) and not keys.isdisjoint(LABEL_KEYS) and "docno" not in keys
    return _pairs if has_pair and keys.isdisjoint({"qid", "query_id"}) else None


def _tevatron(record: dict[str, Any], where: str, fields: PassageFields) -> Group:
    positives, negatives = _list(record, "positive_passages", where), _list(record, "negative_passages", where)
    passages = [*positives, *negatives]
    if not all(isinstance(one, dict) for one in passages):
        raise InputError(f"{where}: a passage is not an object.", remedy=EXPECTED)
    docids = [_docid(one, where) for one in passages]
    labels = [1] * len(positives) + [0] * len(negatives)
    qid = record.get("query_id")
    return Group(
        where if qid is None else str(qid),
        _query(record, where),
        docids,
        [passage_of_record(one, fields) for one in passages],
        labels,
        where,
    )


def _positives_negatives(record: dict[str, Any], where: str, fields: PassageFields) -> Group:
    positives, negatives = _list(record, "pos", where), _list(record, "neg", where)
    texts = [_passage(one, where, fields) for one in (*positives, *negatives)]
    return _group(_query(record, where), texts, [1] * len(positives) + [0] * len(negatives), where)


def _triples(record: dict[str, Any], where: str, fields: PassageFields) -> Group:
    names = [name for name in record if name == "negative" or name.startswith("negative_")]
    found = [one for name in names for one in (record[name] if isinstance(record[name], list) else [record[name]])]
    if not found:
        raise InputError(f"{where}: no negative.", remedy=EXPECTED)
    texts = [_passage(one, where, fields) for one in (record["positive"], *found)]
    return _group(_query(record, where), texts, [1] + [0] * len(found), where)


def _labelled(record: dict[str, Any], where: str, fields: PassageFields) -> Group:
    name = next((name for name in LIST_KEYS if name in record), LIST_KEYS[0])
    texts = [_passage(one, where, fields) for one in _list(record, name, where)]
    labels = [read_label(label, f"number {at}", where) for at, label in enumerate(_list(record, "labels", where), 1)]
    if len(labels) != len(texts):
        raise InputError(f"{where}: {len(labels)} labels for {len(texts)} passages.", remedy=EXPECTED)
    return _group(_query(record, where), texts, labels, where)


def _pairs(lines: Lines, fields: PassageFields) -> Iterator[Group]:
    """Collect the pairs of each query; they need not be consecutive."""
    found: dict[str, tuple[str, list[Passage], list[int | None]]] = {}
    for where, line in lines:
        record = parse_object(line, where)
        text = next((record[name] for name in PASSAGE_KEYS if name in record), None)
        label = next((record[name] for name in LABEL_KEYS if name in record), None)
        _, passages, labels = found.setdefault(_query(record, where), (where, [], []))
        passages.append(_passage(text, where, fields))
        labels.append(read_label(label, "of the pair", where))
    return (_group(query, passages, labels, where) for query, (where, passages, labels) in found.items())


def _tab_separated(lines: Lines, fields: PassageFields) -> Iterator[Group]:
    del fields
    for where, line in lines:
        columns = line.decode().split("\t")
        if len(columns) != 3:
            raise InputError(f"{where}: {len(columns)} columns.", remedy="A triple is query<TAB>positive<TAB>negative.")
        if columns[2].strip().isdecimal():
            raise InputError(
                f"{where}: ends in a number: a triple of ids, judgements or a run.",
                remedy="Give triples of texts, or labelled lists.",
            )
        query, *texts = columns
        if not query.strip():
            raise InputError(f"{where}: the query is empty.")
        yield _group(query, [Passage("", text) for text in texts], [1, 0], where)


def _group(query: str, passages: list[Passage], labels: list[int | None] | list[int], where: str) -> Group:
    return Group(where, query, [_name(passage) for passage in passages], passages, labels, where)


def _name(passage: Passage) -> str:
    content = f"{passage.title}\0{passage.text}".encode("utf-8", "surrogatepass")
    return "text-" + hashlib.blake2b(content, digest_size=8).hexdigest()


def _query(record: Mapping[str, Any], where: str) -> str:
    query = next((record[name] for name in QUERY_KEYS if name in record), None)
    if not isinstance(query, str):
        raise InputError(f"{where}: no query.", remedy=EXPECTED)
    if not query.strip():
        raise InputError(f"{where}: the query is empty.")
    return query


def _list(record: Mapping[str, Any], name: str, where: str) -> list[Any]:
    value = record.get(name)
    if not isinstance(value, list):
        raise InputError(f"{where}: `{name}` is not a list.", remedy=EXPECTED)
    return value


def _passage(value: object, where: str, fields: PassageFields) -> Passage:
    if isinstance(value, str):
        return Passage("", value)
    if isinstance(value, dict):
        return passage_of_record(value, fields)
    raise InputError(f"{where}: a passage is neither a text nor an object.", remedy=EXPECTED)


def _docid(record: Mapping[str, Any], where: str) -> str:
    docid = record.get("docid")
    if not isinstance(docid, str | int) or docid == "":
        raise InputError(f"{where}: a passage has no `docid`.")
    return str(docid)
