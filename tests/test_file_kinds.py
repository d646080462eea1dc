"""Every kind of file × every way it may be stored gives the same; what can't be read is refused with file and line."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import lzma
import random
import sys

import pytest

from sidecar.core.atomic_write import atomic_write
from sidecar.core.candidates import Passage
from sidecar.core.corpus import read_corpus, read_lines
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.core.text_lines import numbered_lines
from sidecar.experiments.candidate_files import read_candidates
from sidecar.experiments.candidate_lists import passage_in
from sidecar.experiments.qrels import read_qrels
from sidecar.experiments.run_reading import read_run
from sidecar.experiments.topics import read_topics
from sidecar.training.clicks import read_clicks
from sidecar.training.reading import Refusals, read_training
from sidecar.training.teachers import read_scores

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FIELDS = PassageFields()

STORED = {
    "plain": lambda content: content,
    "BOM": lambda content: b"\xef\xbb\xbf" + content,
    "CRLF": lambda content: content.replace(b"\n", b"\r\n"),
    "BOM and CRLF": lambda content: b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"),
    "gz": gzip.compress,
    "zst": lambda content: zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1}),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "BOM in zst": lambda content: zstd.compress(b"\xef\xbb\xbf" + content),
    "joined files": lambda content: content.replace(b"\n", b"\n\xef\xbb\xbf"),
    "no last line end": lambda content: content.rstrip(b"\n"),
}


def of_corpus(path):
    documents = [(one.docid, one.title, one.text) for one in read_corpus(path)]
    stored = [(one.docid, passage_in(one.line, FIELDS)) for one in read_lines(path)]
    assert stored == [(docid, Passage(title, text)) for docid, title, text in documents]
    return documents


def of_candidates(path):
    return [
        (one.qid, one.query, [(c.docid, c.rank, c.score, c.passage) for c in one.candidates], one.labels, one.ordered)
        for one in read_candidates(path, FIELDS)
    ]


def of_training(path):
    read = read_training(path, FIELDS, Refusals(drop=False, counts={}))
    return [(one.query, one.passages, one.labels) for one in read]


def of_queries_clicked(path):
    events = path.with_name("events.jsonl")
    event = {"action_name": "click", "query_id": "1", "event_attributes": {"object": {"object_id": "b"}}}
    events.write_text(json.dumps(event))
    return read_clicks(path, events)


PAIR = {"qid": "q1", "query": "fé", "docno": "d1", "text": "x", "rank": 2, "score": 1.5}
LIST = {"query": {"text": "fé", "qid": "q1"}, "candidates": [{"docid": "d1", "score": 1.5, "doc": {"text": "ü"}}]}
LABELLED = {
    "query_id": "1",
    "query": "fé",
    "candidates": [{"docid": "a", "text": "x", "label": 1}, {"docid": "b", "text": "y", "label": 0}],
}
TREC_TOPIC = "<top>\n<num> Number: q1\n<title> Topic: red fé\n<desc> Description:\nlong\n</top>\n"


def lines(*objects):
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects)


# Kind → its reader, the content, and what is read of it.
KINDS = {
    "corpus, JSON lines": (
        of_corpus,
        lines({"_id": "a", "title": "T", "text": "ü"}, {"id": 2, "contents": "y"}),
        [("a", "T", "ü"), ("2", "", "y")],
    ),
    "corpus, JSON array": (
        of_corpus,
        json.dumps([{"_id": "a", "title": "T", "text": "ü"}, {"id": 2, "contents": "y"}], indent=1) + "\n",
        [("a", "T", "ü"), ("2", "", "y")],
    ),
    "collection.tsv": (of_corpus, "0\tred ü\n1\ta dog\n", [("0", "", "red ü"), ("1", "", "a dog")]),
    "topics, columns": (
        lambda path: list(read_topics(path)),
        "1\tred fé\n2\ta dog\n",
        [("1", "red fé"), ("2", "a dog")],
    ),
    "topics, header": (
        lambda path: list(read_topics(path)),
        "query_id\ttext\n1\tred fé\n",
        [("1", "red fé")],
    ),
    "topics, JSON": (
        lambda path: list(read_topics(path)),
        lines({"_id": "1", "text": "red fé"}),
        [("1", "red fé")],
    ),
    "topics, TREC": (lambda path: list(read_topics(path)), TREC_TOPIC, [("q1", "red fé")]),
    "qrels, TREC": (read_qrels, "q1 0 fé 2\nq2 0 b 0\n", {"q1": {"fé": 2}, "q2": {"b": 0}}),
    "qrels, BEIR": (read_qrels, "query-id\tcorpus-id\tscore\nq1\tfé\t2.0\n", {"q1": {"fé": 2}}),
    "run, TREC": (
        read_run,
        "q1 Q0 fé 1 1.5 tag\nq1 Q0 b 2 1e-3 tag\n",
        {"q1": {"fé": 1.5, "b": 0.001}},
    ),
    "run, MS MARCO": (read_run, "q1\tfé\t1\nq1\tb\t2\n", {"q1": {"fé": -1.0, "b": -2.0}}),
    "run, JSON": (read_run, lines(LIST), {"q1": {"d1": 1.5}}),
    "candidates, JSON lines": (
        of_candidates,
        lines(LIST),
        [("q1", "fé", [("d1", 1, 1.5, Passage("", "ü"))], [None], True)],
    ),
    "candidates, rank_llm's array": (
        of_candidates,
        json.dumps([LIST], indent=2) + "\n",
        [("q1", "fé", [("d1", 1, 1.5, Passage("", "ü"))], [None], True)],
    ),
    "candidates, top1000.dev": (
        of_candidates,
        "1\td1\tfé\tx\n2\td1\tdog\tx\n1\td2\tfé\tü\n",
        [
            ("1", "fé", [("d1", 1, 2.0, Passage("", "x")), ("d2", 2, 1.0, Passage("", "ü"))], [None, None], False),
            ("2", "dog", [("d1", 1, 1.0, Passage("", "x"))], [None], False),
        ],
    ),
    "candidates, a pair a line": (
        of_candidates,
        lines(PAIR, {**PAIR, "docno": "d2", "rank": 1, "score": 3, "text": "ü"}),
        [("q1", "fé", [("d2", 1, 3.0, Passage("", "ü")), ("d1", 2, 1.5, Passage("", "x"))], [None, None], True)],
    ),
    "training, labelled lists": (of_training, lines(LABELLED), [("fé", [Passage("", "x"), Passage("", "y")], [1, 0])]),
    "training, Tevatron's": (
        of_training,
        lines(
            {
                "query": "fé",
                "positive_passages": [{"docid": "a", "text": "x"}],
                "negative_passages": [{"docid": "b", "text": "y"}],
            }
        ),
        [("fé", [Passage("", "x"), Passage("", "y")], [1, 0])],
    ),
    "teachers' scores": (read_scores, lines({"query": "fé", "scores": {"d": 1.5}}), {"fé": {"d": 1.5}}),
    "click log": (
        lambda path: of_queries_clicked(path).qrels,
        lines({"query_id": "1", "user_query": "fé", "query_response_hit_ids": ["a", "b"]}),
        {"fé": {"a": 0, "b": 1}},
    ),
}


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("kind", KINDS)
def test_however_a_file_is_stored_the_same_is_read(tmp_path, kind, stored):
    read, content, expected = KINDS[kind]
    path = tmp_path / "file"
    path.write_bytes(STORED[stored](content.encode()))
    assert read(path) == expected


JSON_KINDS = [kind for kind, (_, content, _) in KINDS.items() if content.startswith("{")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("utf-16", r"file is UTF-16"),
        ("utf-32", r"file is UTF-32"),
        ("utf-16-le", r"file:1: a zero byte"),
        ("utf-16-be", r"file:1: a zero byte"),
        ("latin-1", r"file:\d: not UTF-8: byte 0x(e9|fc) at position \d+"),
    ],
)
def test_another_encoding_is_refused_by_name(tmp_path, kind, encoding, message):
    read, content, _ = KINDS[kind]
    path = tmp_path / "file"
    if encoding == "latin-1" and not {"é", "ü"} & set(content):
        content = content.replace("a", "é", 1)
    path.write_bytes(content.encode(encoding))
    with pytest.raises(InputError, match=message) as error:
        read(path)
    assert error.value.remedy


@pytest.mark.parametrize("kind", JSON_KINDS)
@pytest.mark.parametrize(
    ("field", "message"),
    [
        ('"unread": NaN', "NaN is not JSON: write null"),
        ('"unread": [{"deep": -Infinity}]', "-Infinity is not JSON"),
        ('"unread": {"a": 1, "a": 2}', "the key 'a' occurs twice"),
        ('"unread": tru', "file:1: "),
    ],
)
def test_odd_json_is_refused_everywhere_with_file_and_line(tmp_path, kind, field, message):
    read, content, _ = KINDS[kind]
    path = tmp_path / "file"
    path.write_text(content.replace("{", "{" + field + ", ", 1))
    with pytest.raises(InputError, match=r"file:1: ") as error:
        read(path)
    assert message in str(error.value)
    assert error.value.remedy


@pytest.mark.parametrize("kind", JSON_KINDS)
def test_half_a_surrogate_pair_is_read_as_a_replacement_character(tmp_path, kind):
    read, content, expected = KINDS[kind]
    path = tmp_path / "file"
    path.write_text(content.replace("{", r'{"unread\udc00": "\ud83d", "pair": "\ud83d\ude00\\ud83d", ', 1))
    assert read(path) == expected


def test_half_a_surrogate_pair_in_a_text_becomes_one_character(tmp_path):
    (tmp_path / "c.jsonl").write_text(r'{"_id": "a", "text": "x\ud83d y\uDE00\\ud83d\ud83d\ude00"}')
    assert of_corpus(tmp_path / "c.jsonl") == [("a", "", "x\ufffd y\ufffd\\ud83d😀")]


@pytest.mark.parametrize(
    ("head", "name"),
    [(b"PK\x03\x04", "a zip archive"), (b"PAR1", "a Parquet file"), (b"\x04\x22\x4d\x18", "an lz4 file")],
)
def test_other_archives_are_refused_by_name(tmp_path, head, name):
    (tmp_path / "file").write_bytes(head + b"\n")
    with pytest.raises(InputError, match=f"file is {name}"):
        list(numbered_lines(tmp_path / "file"))


@pytest.mark.parametrize("stored", ["gz", "zst", "bz2", "xz"])
def test_a_damaged_file_is_named(tmp_path, stored):
    whole = STORED[stored](b"".join(b"%d\tsome text %d\n" % (n, n * n) for n in range(500)))
    (tmp_path / "cut").write_bytes(whole[:-9])
    with pytest.raises(InputError, match="cut is damaged"):
        list(numbered_lines(tmp_path / "cut"))
    (tmp_path / "changed").write_bytes(whole[:60] + bytes(byte ^ 0xFF for byte in whole[60:90]) + whole[90:])
    with pytest.raises(InputError, match="changed is damaged"):
        list(numbered_lines(tmp_path / "changed"))


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst", ".bz2", ".xz"])
def test_what_is_written_is_compressed_as_its_name_says_and_always_the_same(tmp_path, suffix):
    written = []
    for _ in range(2):
        with atomic_write(tmp_path / f"run{suffix}") as stream:
            stream.write("fé\n" * 300)
        written.append((tmp_path / f"run{suffix}").read_bytes())
    assert written[0] == written[1]
    assert [line.decode() for _, line in numbered_lines(tmp_path / f"run{suffix}")] == ["fé"] * 300
    assert (len(written[0]) < 300) == bool(suffix)


ODD = [
    b"{",
    b"[",
    b'"',
    b"\\ud800",
    b"NaN",
    b"1e999",
    b"null",
    b"[]",
    b"\t",
    b"\n",
    b"9" * 5000,
    b"\xed\xa0\x80",
    b"\xc2\xa0",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_changed_anywhere_is_read_or_refused_and_nothing_else(tmp_path, kind):
    read, content, _ = KINDS[kind]
    draw = random.Random(7)
    for _ in range(60):
        changed = bytearray(content.encode())
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(changed))
            changed[at : at + draw.randint(0, 4)] = draw.choice(ODD)
        (tmp_path / "file").write_bytes(changed)
        with contextlib.suppress(InputError):
            read(tmp_path / "file")
