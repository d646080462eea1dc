import gzip
import json

import pytest

from sidecar.core.corpus import Document, read_corpus, read_lines, unique
from sidecar.core.errors import InputError


@pytest.fixture
def corpus(tmp_path):
    def write(*lines, name="corpus.jsonl"):
        path = tmp_path / name
        text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n"
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"_id": "a", "title": "T", "text": "words"}, ("a", "T", "words")),
        ({"id": "a", "contents": "words"}, ("a", "", "words")),
        ({"docid": "a", "passage": "words"}, ("a", "", "words")),
        ({"pid": "msmarco_1", "passage": "words"}, ("msmarco_1", "", "words")),
        ({"_id": 12, "text": "words"}, ("12", "", "words")),
        ({"_id": "a", "title": None, "text": None}, ("a", "", "")),
        ({"_id": "a"}, ("a", "", "")),
        ({"_id": "a", "id": "b", "text": "x", "contents": "y"}, ("a", "", "x")),
        ({"_id": "a", "text": "", "contents": "y"}, ("a", "", "")),
        ({"_id": "ü", "title": "漢字 😀", "text": "x"}, ("ü", "漢字 😀", "x")),
    ],
)
def test_reads_the_usual_fields(corpus, record, expected):
    path = corpus(record)
    [document] = read_corpus(path)
    assert (document.docid, document.title, document.text) == expected
    assert document.source == f"{path}:1"


def test_gzip_reads_the_same_and_blank_lines_still_count(corpus):
    lines = [{"_id": "a", "text": "x"}, "", "  ", {"_id": "b", "text": "y"}]
    plain, zipped = corpus(*lines), corpus(*lines, name="corpus.jsonl.gz")
    assert list(read_corpus(plain)) == [
        Document("a", "", "x", f"{plain}:1"),
        Document("b", "", "y", f"{plain}:4"),
    ]
    assert [d.source for d in read_corpus(zipped)] == [f"{zipped}:1", f"{zipped}:4"]


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"_id": "a", "text": "x"}\r\n{"_id": "b", "text": "y"}\r\n')
    assert [(d.docid, d.text) for d in read_corpus(path)] == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"_id": "b", "text": ', "not JSON"),
        (b"\xff\xfe".decode("latin-1"), "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1, 2]", "not a JSON object but a list"),
        ("null", "not a JSON object but null"),
        ('{"text": "x"}', "no id"),
        ('{"_id": null}', "'_id' is null"),
        ('{"_id": true}', "'_id' is a boolean"),
        ('{"_id": 1.5}', "'_id' is a number"),
        ('{"_id": ""}', "'_id' is ''"),
        ('{"_id": "a b"}', "'_id' is 'a b'"),
        ('{"_id": "b", "title": 3}', "'title' is a number"),
        ('{"_id": "b", "text": ["x"]}', "'text' is a list"),
        ('{"_id": "b", "contents": {"x": 1}}', "'contents' is an object"),
    ],
)
def test_a_fault_is_named_with_file_and_line(corpus, line, message):
    path = corpus({"_id": "a", "text": "x"}, line)
    with pytest.raises(InputError) as error:
        list(read_corpus(path))
    assert error.value.message.startswith(f"{path}:2: {message}")
    assert error.value.remedy


def test_reading_streams_up_to_the_fault(corpus):
    documents = read_corpus(corpus({"_id": "a", "text": "x"}, "broken"))
    assert next(documents).docid == "a"
    with pytest.raises(InputError, match=":2: not JSON"):
        next(documents)


def test_a_missing_file_and_a_directory(tmp_path):
    with pytest.raises(InputError, match=r"can't read .*nowhere\.jsonl: No such file or directory"):
        list(read_corpus(tmp_path / "nowhere.jsonl"))
    with pytest.raises(InputError, match=r"the folder .* holds no corpus"):
        list(read_corpus(tmp_path))


def test_a_cut_and_a_corrupted_gzip_file(corpus, tmp_path):
    whole = corpus(*({"_id": str(i), "text": "x" * i} for i in range(200)), name="whole.jsonl.gz").read_bytes()
    cut, corrupted = tmp_path / "cut.jsonl.gz", tmp_path / "corrupted.jsonl.gz"
    cut.write_bytes(whole[:-20])
    corrupted.write_bytes(whole[:40] + b"\xff" * 40 + whole[80:])
    with pytest.raises(InputError, match=r"cut\.jsonl\.gz is damaged"):
        list(read_corpus(cut))
    with pytest.raises(InputError, match=r"corrupted\.jsonl\.gz is damaged"):
        list(read_corpus(corrupted))


def test_a_second_document_of_one_docid_is_named():
    documents = unique([Document("a", "", "x", "c:1"), Document("b", "", "x", "c:2"), Document("a", "", "y", "c:3")])
    assert [next(documents).docid, next(documents).docid] == ["a", "b"]
    with pytest.raises(InputError, match="^c:3: the docid 'a' was there before"):
        next(documents)


@pytest.mark.parametrize(
    ("title", "text", "empty"), [("", "", True), (" ", "\n", True), ("t", "", False), ("", "x", False)]
)
def test_empty_means_nothing_to_find_it_by(title, text, empty):
    assert Document("a", title, text).is_empty is empty


def test_a_folder_is_read_file_by_file_in_the_order_of_names(tmp_path):
    (tmp_path / "docs01.json").write_text('{"id": "b", "contents": "y"}\n')
    (tmp_path / "docs00.jsonl.gz").write_bytes(gzip.compress(b'{"id": "a", "contents": "x"}\n'))
    (tmp_path / "docs02.tsv").write_text("c\tz\n")
    for name in ("README.md", ".hidden.json"):
        (tmp_path / name).write_text("no corpus")
    assert [(one.docid, one.text, one.source) for one in read_corpus(tmp_path)] == [
        ("a", "x", f"{tmp_path}/docs00.jsonl.gz:1"),
        ("b", "y", f"{tmp_path}/docs01.json:1"),
        ("c", "z", f"{tmp_path}/docs02.tsv:1"),
    ]


def test_a_header_is_no_document(tmp_path):
    (tmp_path / "collection.tsv").write_text("docid\ttext\n1\tfox\n")
    assert [(one.docid, one.text) for one in read_corpus(tmp_path / "collection.tsv")] == [("1", "fox")]


@pytest.mark.parametrize("line", ["D1\turl\ttitle\tbody", "a b\ttext", "\ttext"])
def test_a_malformed_line_of_columns_is_named(corpus, line):
    for read in (read_corpus, read_lines):
        with pytest.raises(InputError, match=r"corpus.jsonl:2: "):
            list(read(corpus("a\tfine", line)))


def test_stored_documents_are_checked_whole_on_demand(corpus):
    odd = ['{"_id": "a", "text": "x", "text": "y"}', '{"_id": "b", "n": 1e999}']
    for document in read_lines(corpus(*odd)):
        with pytest.raises(InputError, match=r"corpus.jsonl:[12]: not JSON: "):
            document.check()
