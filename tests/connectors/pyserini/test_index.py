import json
import math
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from connectors.pyserini.build import build_index
from connectors.pyserini.index import LuceneIndex
from sidecar.core.corpus import Document
from sidecar.core.errors import ConfigurationError, EngineError, IndexNotFound, InputError

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def index(animals):
    with LuceneIndex(animals) as opened:
        yield opened


def test_the_best_first_with_all_that_pyserini_gives(index):
    first, second, third = index.search("dogs")
    assert [first.docid, second.docid, third.docid] == ["dog", "cat", "fox"]
    assert first.score > second.score > third.score
    assert json.loads(first.raw) == {"_id": "dog", "title": "Dog", "text": "A dog sleeps."}
    assert first.contents is None
    assert sorted([first.lucene_docid, second.lucene_docid, third.lucene_docid]) == [0, 1, 2]


def bm25(*, documents, found_in, in_document, length, average, k1, b):
    """Lucene's BM25 of one term: it leaves out the constant factor k1 + 1 of the textbook."""
    idf = math.log(1 + (documents - found_in + 0.5) / (found_in + 0.5))
    return idf * in_document / (in_document + k1 * (1 - b + b * length / average))


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.2, 0.75), (2.0, 0.0)])
def test_bm25_with_k1_and_b_by_the_formula(tmp_path, jvm, k1, b):
    # Lengths count title and text without stop words: 2, 4 and 6 words, 4 on average; "dog" is in two of three.
    build_index(
        [
            Document("one", "dog", "runs"),
            Document("two", "cat", "dog dog barks"),
            Document("three", "fish", "swims deep under green water"),
        ],
        tmp_path / "index",
    )
    with LuceneIndex(tmp_path / "index", k1=k1, b=b) as index:
        scores = {hit.docid: hit.score for hit in index.search("dog")}
    # Anserini takes 0.0001 off the second of two equal scores, and rounds to four places.
    assert scores == {
        "one": pytest.approx(bm25(documents=3, found_in=2, in_document=1, length=2, average=4, k1=k1, b=b), abs=1e-4),
        "two": pytest.approx(bm25(documents=3, found_in=2, in_document=2, length=4, average=4, k1=k1, b=b), abs=1e-4),
    }


def test_words_of_the_title_count(index):
    assert [hit.docid for hit in index.search("red")] == ["fox"]


def test_no_more_than_k(index):
    assert [hit.docid for hit in index.search("dog", 1)] == ["dog"]


def test_nothing_found_is_no_error(index):
    assert index.search("zebra") == []
    assert index.search("the of and") == []


@pytest.mark.parametrize("query", ["漢字", "😀", "NAÏVE café", "emoji \x00 漢字"])
def test_every_character_finds_its_way_there_and_back(index, query):
    [hit] = index.search(query)
    # Lucene keeps UTF-8, where half a surrogate pair can't be written.
    assert json.loads(hit.raw) == {"_id": "emoji", "title": "😀 漢字", "text": "naïve café \x00 \ufffd end"}


@pytest.mark.parametrize("query", ["dog AND (", "contents:dog^", '"dog', "*", "dog\\"])
def test_query_syntax_is_just_text(index, query):
    assert {hit.docid for hit in index.search(query)} <= {"dog", "cat", "fox"}


@pytest.mark.parametrize(
    ("query", "message"), [("", "is empty"), (" \n", "is empty"), ("\ud800", "is not valid Unicode")]
)
def test_what_can_not_be_asked(index, query, message):
    with pytest.raises(InputError, match=f"^The query {message}"):
        index.search(query)
    with pytest.raises(InputError, match=f"^Query 7 {message}"):
        index.batch_search(["dog", query], ["6", "7"])


def test_a_query_of_too_many_words(index):
    too_long = " ".join(f"w{i}" for i in range(1025))
    with pytest.raises(InputError, match="more than 1024 different words"):
        index.search(too_long)
    with pytest.raises(InputError, match="more than 1024 different words"):
        index.batch_search(["dog", too_long], ["1", "2"])
    assert len(index.search("dog " * 20_000)) == 3
    with pytest.raises(InputError, match="more than 1024 different words"):
        index.search(" ".join(f"w{i}" for i in range(10_000)))


@pytest.mark.parametrize("k", [4, 2**31, 10**12])
def test_more_hits_than_there_are_documents(index, k):
    assert index.search("dog", k) == index.search("dog")
    assert index.batch_search(["dog"], ["1"], k)["1"] == index.search("dog")


def test_no_hits_can_not_be_asked_for(index):
    with pytest.raises(InputError, match="^0 hits can't be asked for"):
        index.search("dog", 0)


def test_batch_search_is_search_query_by_query(index):
    queries = ["dog", "cat", "zebra", "fox", "quick dog"]
    found = index.batch_search(queries, ["a", "b", "c", "d", "e"], k=2, threads=2)
    assert found == {qid: index.search(query, 2) for qid, query in zip("abcde", queries, strict=True)}
    assert index.batch_search([], []) == {}


def test_searching_from_several_threads(index):
    expected = index.search("dog")
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(index.search, ["dog"] * 40)) == [expected] * 40


def test_the_jvm_forgets_threads_that_end(index, jvm):
    threads_of_java = jvm("java.lang.Thread").activeCount
    before = threads_of_java()
    for _ in range(20):
        thread = threading.Thread(target=index.search, args=("dog",))
        thread.start()
        thread.join()
    assert threads_of_java() == before


def test_a_document_by_its_docid(index):
    assert json.loads(index.doc("fox").raw)["title"] == "Red fox"
    assert index.doc("zebra") is None


def test_its_name_and_size(index, animals):
    assert (index.name, len(index), index.path) == ("animals", 4, animals)


def test_opened_and_closed_again_and_again(animals):
    for _ in range(20):
        with LuceneIndex(animals) as index:
            assert index.search("red", 1)[0].docid == "fox"


def test_no_index_there(tmp_path):
    with pytest.raises(IndexNotFound) as error:
        LuceneIndex(tmp_path / "nowhere")
    assert error.value.message == f"There is no directory '{tmp_path / 'nowhere'}'."
    assert "sidecar index" in error.value.remedy
    with pytest.raises(IndexNotFound, match=r"holds no Lucene index \(no segments_\* file\)"):
        LuceneIndex(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(IndexNotFound, match="is a file; a Lucene index is a directory"):
        LuceneIndex(tmp_path / "file")


def test_a_broken_index_says_what_is_wrong(tmp_path, animals):
    for file in animals.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[:-4])
    with pytest.raises(IndexNotFound) as error:
        LuceneIndex(tmp_path)
    assert error.value.message.startswith(
        f"The Lucene index in '{tmp_path}' can't be opened: CorruptIndexException: codec footer mismatch"
    )
    assert "\n" not in error.value.message


@pytest.mark.parametrize(("k1", "b"), [(-0.1, 0.4), (0.9, 1.1), (0.9, -0.1), (math.nan, 0.4)])
def test_k1_and_b_out_of_range(animals, k1, b):
    with pytest.raises(ConfigurationError, match="k1"):
        LuceneIndex(animals, k1=k1, b=b)


def test_an_index_removed_while_it_is_open_goes_on(tmp_path, animals):
    copy = shutil.copytree(animals, tmp_path / "copy")
    with LuceneIndex(copy) as opened:
        shutil.rmtree(copy)
        assert [hit.docid for hit in opened.search("dog")] == ["dog", "cat", "fox"]
    with pytest.raises(IndexNotFound, match="There is no directory"):
        LuceneIndex(copy)


def test_a_closed_index_says_so(animals):
    opened = LuceneIndex(animals)
    opened.close()
    with pytest.raises(EngineError, match=r"Lucene failed on the query 'dog': AlreadyClosedException"):
        opened.search("dog")
