"""A Pyserini server as a first stage: against a stand-in that answers what it is told, and against Anserini's own."""

import json
import socket
import subprocess
import time
import urllib.request
from urllib.parse import quote

import msgspec
import pytest

from connectors.pyserini import LuceneIndex, LuceneRequest, PyseriniConnector, PyseriniServer, RerankingSearcher
from connectors.pyserini.hits import LuceneHit, rest_response
from connectors.pyserini.java import bundled_java, find_java
from connectors.pyserini.jvm import _anserini_jars, _newest
from sidecar.core.candidates import Passage
from sidecar.core.errors import (
    ConfigurationError,
    EngineError,
    EngineRejected,
    EngineUnreachable,
    IndexNotFound,
    InputError,
)
from tests.support.servers.stand_in_server import says, standing_in


@pytest.fixture
def stand_in():
    with standing_in() as server:
        yield server


def found(*docs):
    candidates = [
        {"docid": f"d{rank}", "score": 10.5 - rank, "rank": rank, "doc": doc} for rank, doc in enumerate(docs, start=1)
    ]
    return {"api": "v1", "index": "i", "query": {"text": "q"}, "candidates": candidates}


def test_every_shape_of_a_document(stand_in):
    stand_in.will_answer(says(found(None, "words", {"title": "T", "text": "x"}, ["a", "b"], 1984, '{"text": "y"}')))
    with PyseriniServer(stand_in.url, "i") as server:
        assert server.search("q")[:3] == [
            LuceneHit("d1", 9.5, -1, None),
            LuceneHit("d2", 8.5, -1, "words", sent_doc=b'"words"'),
            LuceneHit("d3", 7.5, -1, '{"title": "T", "text": "x"}', sent_doc=b'{"title": "T", "text": "x"}'),
        ]
        passages = [c.passage for c in PyseriniConnector(server).fetch(LuceneRequest("q")).candidates]
    assert passages == [
        Passage("", ""),
        Passage("", "words"),
        Passage("T", "x"),
        Passage("", "a\nb"),
        Passage("", "1984"),
        Passage("", "y"),
    ]


def test_what_is_asked(stand_in):
    stand_in.will_answer(says(found()))
    PyseriniServer(f"{stand_in.url}/proxy/", "indexes/a b", api_key="secret").search("what? & é", 7)
    PyseriniServer(stand_in.url, "i", bm25=(0.82, 0.68)).search("q")
    (first, headers), (second, bare) = stand_in.asked
    assert first == "/proxy/v1/indexes%2Fa%20b/search?query=what%3F+%26+%C3%A9&hits=7&parse=true"
    assert second == "/v1/i/search?query=q&hits=10&parse=true&k1=0.82&b=0.68"
    assert headers["x-api-key"] == "secret"
    assert "x-api-key" not in bare


def test_a_name_and_a_password_in_the_url_are_sent_and_never_shown(stand_in):
    stand_in.will_answer(says({"error": "Unauthorized."}, 401))
    server = PyseriniServer(stand_in.url.replace("//", "//me:hunter2@"), "i", api_key="hunter3")
    with pytest.raises(EngineRejected, match=r"refused \(status 401\): Unauthorized\.") as error:
        server.search("q")
    assert "SIDECAR_PYSERINI_API_KEY" in error.value.remedy
    assert "hunter" not in str(error.value) + server.source + repr(server)
    assert stand_in.asked[0][1]["authorization"] == "Basic bWU6aHVudGVyMg=="


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (says({"error": "Unable to open index: i"}, 400), IndexNotFound, "has no index 'i': Unable to open index: i"),
        (says({"error": "Index not configured for this server: i"}, 400), IndexNotFound, "has no index 'i'"),
        (says({"error": "Expected route /v1/{index}/search"}, 404), IndexNotFound, "has no index 'i'"),
        (says({"error": "Parameter 'hits' must be positive"}, 400), EngineRejected, "status 400.: Parameter 'hits'"),
        (says({"error": "Internal server error"}, 500), EngineRejected, "status 500.: Internal server error"),
        (says(b"", 500), EngineRejected, "status 500.: it does not say why"),
        (says(b"<h1>Bad \xff gateway</h1>", 502), EngineRejected, "status 502.: <h1>Bad"),
        (says(b"", 302), EngineRejected, "status 302"),
        (says(b"URI Too Long", 414), InputError, "too long"),
        (says(b"hello"), EngineError, "not as a Pyserini server does: JSON is malformed"),
        (says(b""), EngineError, "not as a Pyserini server does"),
        (says(b"\xff\xfe"), EngineError, "not as a Pyserini server does"),
        (says({"hits": []}), EngineError, "missing required field `candidates`"),
        (says([]), EngineError, "Expected `object`, got `array`"),
        (
            says({"candidates": [{"docid": 7, "score": 1}]}),
            EngineError,
            r"`str`, got `int` .*candidates\[0\].docid",
        ),
        (says({"candidates": [{"docid": "d"}]}), EngineError, "missing required field `score`"),
        (says({"candidates": [{"docid": "d", "score": None}]}), EngineError, "Expected `float`, got `null`"),
    ],
)
def test_what_goes_wrong_is_said(stand_in, answer, kind, message):
    stand_in.will_answer(answer)
    with pytest.raises(kind, match=message):
        PyseriniServer(stand_in.url, "i").search("q")


def test_a_busy_server_is_asked_again(stand_in):
    stand_in.will_answer(says({"error": "overloaded"}, 429), says(b"", 503), says(found("words")))
    assert [hit.docid for hit in PyseriniServer(stand_in.url, "i").search("q")] == ["d1"]
    assert len(stand_in.asked) == 3
    stand_in.will_answer(says({"error": "overloaded"}, 429))
    with pytest.raises(EngineRejected, match=r"status 429\): overloaded"):
        PyseriniServer(stand_in.url, "i").search("q")
    assert len(stand_in.asked) == 6


def test_a_server_that_is_too_slow(stand_in):
    stand_in.will_answer(says(found(), seconds=0.5))
    with pytest.raises(EngineUnreachable, match=r"can't be reached: no answer within 0.05 s\."):
        PyseriniServer(stand_in.url, "i", timeout=0.05).search("q")


def test_no_server_there():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(EngineUnreachable, match=f"127.0.0.1:{port} can't be reached: .*Connection refused"):
            PyseriniServer(f"http://127.0.0.1:{port}", "i").search("q")


@pytest.mark.parametrize("url", ["", "host:8081", "ftp://host", "http://", "http://host:port", "http://h/?a=b"])
def test_a_url_that_is_none(url):
    with pytest.raises(ConfigurationError, match="The Pyserini server's URL"):
        PyseriniServer(url, "i")


def test_an_empty_query_is_not_sent(stand_in):
    server = PyseriniServer(stand_in.url, "i")
    with pytest.raises(InputError, match="The query is empty"):
        server.search(" ")
    with pytest.raises(InputError, match="Query 2 is empty"):
        server.batch_search(["q", ""], ["1", "2"])
    assert stand_in.asked == []


def test_a_document_by_its_docid(stand_in):
    stand_in.will_answer(says({"docid": "a/b", "doc": {"title": "T"}}))
    assert PyseriniServer(stand_in.url, "i").doc("a/b") == LuceneHit(
        "a/b", 0.0, -1, '{"title": "T"}', sent_doc=b'{"title": "T"}'
    )
    assert stand_in.asked[0][0] == "/v1/i/doc/a%2Fb?parse=true"
    stand_in.will_answer(says({"error": "Document not found: x"}, 404))
    assert PyseriniServer(stand_in.url, "i").doc("x") is None


def test_a_batch_is_asked_on_as_many_threads(stand_in):
    stand_in.will_answer(says(found("words"), seconds=0.1))
    started = time.perf_counter()
    qids = [str(number) for number in range(16)]
    answers = PyseriniServer(stand_in.url, "i").batch_search(qids, qids, 5, 8)
    assert time.perf_counter() - started < 1.2  # one by one it takes 1.6 s
    assert list(answers) == qids
    assert PyseriniServer(stand_in.url, "i").batch_search([], []) == {}


def test_bytes_of_documents_stay_and_order_and_scores_change(stand_in, table_reranker):
    first = b'{"docid":"d1","score":2,"doc":"a"}'
    second = b'{"docid":"d2","score":1,"doc":{"n": [0.10], "text":"b"}}'
    stand_in.will_answer(says(b'{"candidates":[%b,%b]}' % (first, second)))
    hits = RerankingSearcher(PyseriniServer(stand_in.url, "i"), table_reranker({"a": 1.0, "b": 2.0})).search("q")
    response = msgspec.json.encode(rest_response("i", "q", hits))
    assert response == (
        b'{"api":"v1","index":"i","query":{"text":"q"},"candidates":['
        b'{"docid":"d2","score":2.0,"rank":1,"doc":{"n": [0.10], "text":"b"}},'
        b'{"docid":"d1","score":1.0,"rank":2,"doc":"a"}]}'
    )


STORED = [
    {"id": "d1", "contents": "dog dog dog", "title": "T", "n": 1984, "f": 0.5, "t": True, "z": None},
    {"id": "d2", "contents": "dog and a cat"},
    {"id": "d3", "contents": "dog and another cat", "tags": ["a", 1], "deep": {"id": 1, "x": "y"}},
]


@pytest.fixture(scope="module")
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.live
def test_anserini_s_own_server(tmp_path, anserini_index, free_port):
    """The server of this pyserini's jar; `pyserini.server.rest` answers the same, by the same openapi.yaml."""
    directory = anserini_index("JsonCollection", STORED, "-storeRaw")
    jar = _newest(_anserini_jars({}))
    words = [str(find_java({}, bundled_java()).home / "bin" / "java"), "-cp", str(jar), "io.anserini.api.RestServer"]
    words += ["--host", "127.0.0.1", "--port", str(free_port)]
    name = str(directory)
    if not jar.name.startswith("anserini-1."):
        (tmp_path / "config.yaml").write_text(f"indexes:\n  mine: {directory}\n")
        words, name = [*words, "--index-config", str(tmp_path / "config.yaml")], "mine"
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{free_port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{url}/v1/{quote(name, safe='')}/search?query=dog&hits=1", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        with urllib.request.urlopen(f"{url}/v1/{quote(name, safe='')}/search?query=dog&hits=10&parse=true") as answer:
            theirs = answer.read()
        with PyseriniServer(url, name) as server, LuceneIndex(directory) as index:
            hits = server.search("dog")
            assert msgspec.json.encode(rest_response(name, "dog", hits)) == theirs
            local = index.search("dog")
            assert [hit.docid for hit in hits] == [hit.docid for hit in local] == ["d1", "d2", "d3"]
            assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in local], abs=1e-6)
            ours = json.loads(msgspec.json.encode(rest_response(name, "dog", local)))["candidates"]
            assert [hit["doc"] for hit in ours] == [hit["doc"] for hit in json.loads(theirs)["candidates"]]
            assert [
                PyseriniConnector(one).fetch(LuceneRequest("dog")).candidates[1].passage for one in (server, index)
            ] == [Passage("", "dog and a cat")] * 2
            assert server.batch_search(["dog", "cat"], ["1", "2"], 2, 2)["2"] == server.search("cat", 2)
            assert server.doc("d2").raw == "dog and a cat"
            assert server.doc("d9") is None
            with pytest.raises(EngineError, match="nowhere|status 500"):
                PyseriniServer(url, "nowhere").search("dog")
    finally:
        process.terminate()
        process.wait()
