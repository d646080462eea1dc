"""OpenSearch's own rerank processor calls the running sidecar: directly, and with the sidecar's proxy before it."""

from __future__ import annotations

import json
import re
import struct
import time

import pytest

from connectors.opensearch.admin.install_pipeline import Installation
from connectors.opensearch.admin.ml_commons import MlCommons
from connectors.opensearch.admin.pipeline_bodies import Wanted
from connectors.opensearch.transport import connect
from tests.support.live.foxes import ids, without_took
from tests.support.servers.rerank_server import rerank_server
from tests.support.servers.served import ask, served

pytestmark = pytest.mark.live

NAME, SECONDS = "called", 3
# The text of a document, and what a query may hold.
AWKWARD = [
    "plain",
    'quote " and \\ back \\" both',
    "new\nline\ttab\rreturn \x08 \x0c \x01 \x7f \u2028",
    "emoji 😀 é 日本",
    "${parameters.x}",
    "${parameters.query} ${parameters.documents} ${parameters.body} ${credential.key}",
    "$${parameters.x:-y} $1 \\$ {",
    "half \ud83d a pair \udc00",
    "\\n \\u0041 \\\\",
    '{"a": "b"}',
    '["a", "b"]',
    "null",
    "1.0",
    "'; return null; //",
    "<b>&amp;</b>",
]


def scored(i):
    """The fake scorer reads the score off the text."""
    return (i * 37) % 101 / 10 - 5


@pytest.fixture(scope="module")
def node(ml_node):
    settings = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}
    ml_node.ask("PUT", "docs", settings)
    lines = b"".join(
        b'{"index":{"_id":"%d"}}\n%s\n'
        % (i, json.dumps({"text": f"fox {AWKWARD[i % len(AWKWARD)]} score {scored(i):.1f}"}).encode())
        for i in range(100)
    )
    ml_node.ask("PUT", "extreme", settings)
    for i, score in enumerate((800, -800, 0, 12, 12, 0.5, -60, 800)):
        ml_node.ask("PUT", f"extreme/_doc/{i}", {"text": f"fox score {score}"})
    client = connect(ml_node.url)
    assert client.bulk(body=lines, index="docs", refresh=True)["errors"] is False
    client.indices.refresh(index="extreme")
    yield ml_node
    client.close()


@pytest.fixture(scope="module")
def sidecar(node):
    client = connect(node.url)
    with served(node.url) as running:
        installation = Installation(MlCommons(client), lambda _: None, settle=0)
        installation.install(Wanted(NAME, running.api_url, ("text",), seconds=SECONDS))
        yield running
        installation.undo(NAME)
    client.close()


def search_body(query="which fox?", size=100):
    ext = {"rerank": {"query_context": {"query_text": query}}}
    return {"query": {"match": {"text": "fox"}}, "size": size, "ext": ext}


def through(url, body, index="docs", pipeline=NAME):
    return ask(
        url, "POST", f"/{index}/_search?search_pipeline={pipeline}", json.dumps(body).encode(),
        {"content-type": "application/json"},
    )  # fmt: skip


def single(score):
    """As OpenSearch holds it."""
    return struct.unpack("f", struct.pack("f", score))[0]


def by_sidecar(sidecar, hits, query):
    """The ids in the order of the sidecar's own answer for these hits, and the scores."""
    documents = [hit["_source"]["text"] for hit in hits]
    answer = ask(
        sidecar.api_url, "POST", "/v1/rerank", json.dumps({"query": query, "documents": documents}).encode()
    ).json()
    return [(hits[one["index"]]["_id"], single(one["relevance_score"])) for one in answer["results"]]


def own_hits(node, size=100, index="docs"):
    return json.loads(through(node.url, search_body(size=size), index, "_none").body)["hits"]["hits"]


@pytest.mark.parametrize("size", [1, 10, 100])
def test_the_order_is_the_sidecars(node, sidecar, size):
    answer = through(node.url, search_body(size=size))
    assert answer.status == 200, answer.body
    found = [(hit["_id"], single(hit["_score"])) for hit in json.loads(answer.body)["hits"]["hits"]]
    assert found == by_sidecar(sidecar, own_hits(node, size), "which fox?")
    assert len(found) == size
    best_first = sorted(own_hits(node, size), key=lambda hit: -scored(int(hit["_id"])))
    assert [docid for docid, _ in found] == [hit["_id"] for hit in best_first]


@pytest.mark.parametrize("query", [text for text in AWKWARD if text])
def test_any_query_arrives(node, sidecar, query):
    answer = through(node.url, search_body(query))
    assert answer.status == 200, answer.body
    found = [(hit["_id"], single(hit["_score"])) for hit in json.loads(answer.body)["hits"]["hits"]]
    assert found == by_sidecar(sidecar, own_hits(node), query)


def test_texts_arrive_as_they_are(node):
    client = connect(node.url)
    installation = Installation(MlCommons(client), lambda _: None, settle=0)
    with rerank_server() as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        installation.install(Wanted("heard", url, ("text",), model="a 'b' \\ \"c\" ${parameters.x} é"))
        for text in AWKWARD:
            server.queries.clear()
            server.documents.clear()
            answer = through(node.url, search_body(text), pipeline="heard")
            assert answer.status == 200, answer.body
            heard = [one for documents in server.documents for one in documents]
            assert sorted(heard) == sorted(as_java_sends(hit["_source"]["text"]) for hit in own_hits(node))
            assert server.queries == [as_java_sends(text)]
        assert {asked["model"] for asked in server.asked} == {"a 'b' \\ \"c\" ${parameters.x} é"}
    installation.undo("heard")
    client.close()


def as_java_sends(text):
    """Half a surrogate pair has no UTF-8."""
    return re.sub("[\ud800-\udfff]", "?", text)


def test_scores_that_look_like_integers_and_tiny_ones(node, sidecar):
    answer = through(node.url, search_body(), "extreme")
    assert answer.status == 200, answer.body
    scores = {hit["_id"]: hit["_score"] for hit in json.loads(answer.body)["hits"]["hits"]}
    assert (scores["0"], scores["1"], scores["2"], scores["7"]) == (1.0, 0.0, 0.5, 1.0)
    assert scores["6"] == pytest.approx(8.75651076e-27, rel=1e-6)  # 1 / (1 + e^60)
    # Equal ones stay as the first stage had them.
    assert ids(json.loads(answer.body)) == ["0", "7", "3", "4", "5", "2", "6", "1"]


def test_behind_our_own_proxy_the_pipeline_reranks_and_we_do_not(node, sidecar):
    answer = through(sidecar.url, search_body(size=10))
    assert (answer.status, answer.headers["x-rerank-status"]) == (200, "skipped")
    assert answer.headers["x-rerank-reason"].startswith("the search pipeline 'called' reranks already")
    direct = through(node.url, search_body(size=10))
    assert without_took(answer.body) == without_took(direct.body)
    assert ids(json.loads(answer.body)) != [hit["_id"] for hit in own_hits(node, 10)]


def test_without_the_pipeline_our_proxy_reranks(sidecar):
    answer = through(sidecar.url, search_body(size=10), pipeline="_none")
    assert (answer.status, answer.headers["x-rerank-status"]) == (200, "applied")
    assert ids(json.loads(answer.body)) == [str(i) for i in sorted(range(100), key=lambda i: -scored(i))[:10]]


def test_a_model_that_fails_fails_the_search(node):
    answer = through(node.url, search_body("please fail"))
    assert answer.status >= 400
    assert b"Error from remote service" in answer.body


def test_a_model_too_slow_fails_the_search_when_the_time_is_over(node):
    started = time.monotonic()
    answer = through(node.url, search_body("sleep 6000", size=1))
    assert answer.status == 500
    assert b"Read timed out" in answer.body
    assert SECONDS - 1 < time.monotonic() - started < 5.5


def test_a_dead_sidecar_is_a_500_or_silent_bm25(node):
    client = connect(node.url)
    ml = MlCommons(client)
    with served(node.url) as dying:
        Installation(ml, lambda _: None, settle=0).install(Wanted("dying", dying.api_url, ("text",)))
    answer = through(node.url, search_body(size=10), pipeline="dying")
    assert (answer.status, b"Connection refused" in answer.body) == (500, True)
    pipeline = ml.pipeline("dying")
    (processor,) = pipeline["response_processors"]
    processor["rerank"]["ignore_failure"] = True
    ml.put_pipeline("dying", pipeline)
    answer = through(node.url, search_body(size=10), pipeline="dying")
    assert answer.status == 200
    assert ids(json.loads(answer.body)) == [hit["_id"] for hit in own_hits(node, 10)]
    assert not [name for name in answer.headers if "rerank" in name]
    Installation(ml, lambda _: None, settle=0).undo("dying")
    client.close()
