"""Lucene indexes over HTTP in Pyserini's shapes: a real index, the scripted scorer, a real socket."""

from __future__ import annotations

import json

import pytest

from sidecar.serving.rerank_api.middleware import AccessPolicy
from sidecar.serving.scorer.rate_limits import RateLimits
from tests.support.servers.api_server import served_api

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("jvm")]


@pytest.fixture(scope="module")
def fleas(jvm, tmp_path_factory):
    from connectors.pyserini.build import build_index
    from sidecar.core.corpus import Document

    texts = {"a": "flea score 1", "b": "flea flea flea score 0", "c": "flea and dog score 3", "d/é": "nothing of them"}
    directory = tmp_path_factory.mktemp("indexes") / "fleas"
    build_index([Document(docid, "", text) for docid, text in texts.items()], directory)
    return directory


def neighbour(directory, **terms):
    from sidecar.core.documents import PassageFields
    from sidecar.core.fusion import Fusion
    from sidecar.serving.lucene_api import LuceneApi, open_indexes
    from sidecar.serving.proxy.rerank_options import RerankOptions

    def of(service):
        opened = open_indexes({"fleas": directory}, PassageFields(), k1=0.9, b=0.4)
        usual = {"model": "m", "fusion": Fusion(), "window": 100, "seconds": 5.0, "on_failure": "first-stage"}
        return LuceneApi(opened, service, RerankOptions(**(usual | {"fields": PassageFields()} | terms)))

    return of


@pytest.fixture(scope="module")
def api(fleas):
    with served_api(neighbour_of=neighbour(fleas), access=AccessPolicy("secret")) as served:
        served.client.headers["authorization"] = "Bearer secret"
        yield served


def test_a_search_is_reranked_and_has_pyserinis_shape(api):
    response = api.client.get("/v1/fleas/search", params={"query": "flea"})
    assert (response.status_code, response.headers["x-rerank-status"]) == (200, "applied")
    answer = response.json()
    docs = [one.pop("doc") for one in answer["candidates"]]
    assert answer == {
        "api": "v1",
        "index": "fleas",
        "query": {"text": "flea"},
        "candidates": [
            {"docid": "c", "score": 3.0, "rank": 1},
            {"docid": "a", "score": 1.0, "rank": 2},
            {"docid": "b", "score": 0.0, "rank": 3},
        ],
    }
    # As Anserini's server has it, the id stands beside the document alone.
    assert [set(one) for one in docs] == [{"title", "text"}] * 3


def test_hits_and_parse(api):
    answer = api.client.get("/v1/fleas/search", params={"query": "flea", "hits": 1, "parse": "false"}).json()
    (only,) = answer["candidates"]
    assert json.loads(only["doc"])["_id"] == "c"


def test_no_hits(api):
    response = api.client.get("/v1/fleas/search", params={"query": "zebra"})
    assert (response.json()["candidates"], response.headers["x-rerank-status"]) == ([], "skipped")


@pytest.mark.parametrize("docid", ["a", "d/é"])
def test_a_document(api, docid):
    answer = api.client.get(f"/v1/fleas/doc/{docid}").json()
    assert answer.pop("doc")["_id"] == docid
    assert answer == {"api": "v1", "index": "fleas", "docid": docid}


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/v1/fleas/search?query=", 400, "The query is empty."),
        ("/v1/fleas/search", 400, "The query is empty."),
        ("/v1/fleas/search?query=a&hits=0", 400, "hits: Input should be greater than or equal to 1"),
        ("/v1/cats/search?query=a", 404, "there is no index 'cats' here; there are fleas"),
        ("/v1/fleas/doc/zzz", 404, "index fleas has no document 'zzz'"),
    ],
)
def test_its_errors(api, path, status, error):
    response = api.client.get(path)
    assert (response.status_code, response.json()) == (status, {"error": error})


def test_without_the_key(api):
    response = api.client.get("/v1/fleas/search?query=a", headers={"authorization": ""})
    assert (response.status_code, response.json()) == (401, {"error": "the API key is missing or wrong"})


def test_lucenes_order_where_reranking_fails(api):
    response = api.client.get("/v1/fleas/search", params={"query": "flea fail"})
    assert [one["docid"] for one in response.json()["candidates"]] == ["b", "a", "c"]
    assert response.headers["x-rerank-status"] == "failed"
    assert response.headers["x-rerank-reason"] == "told to fail"


def test_or_an_error_where_that_is_wanted(fleas):
    with served_api(neighbour_of=neighbour(fleas, on_failure="error")) as api:
        response = api.client.get("/v1/fleas/search", params={"query": "flea fail"})
        assert (response.status_code, response.json()) == (503, {"error": "reranking failed: told to fail"})


@pytest.mark.parametrize(("tokens", "status", "words"), [(30, 429, "are left in this minute"), (5, 413, "5 a minute")])
def test_an_error_over_a_limit_of_a_minute_says_when_to_ask_again(fleas, tokens, status, words):
    rates = RateLimits(tokens=tokens)
    with served_api(neighbour_of=neighbour(fleas, on_failure="error"), rates=rates) as api:
        api.client.get("/v1/fleas/search", params={"query": "flea"})
        response = api.client.get("/v1/fleas/search", params={"query": "flea dog"})
        assert (response.status_code, words in response.json()["error"]) == (status, True)
        assert ("retry-after" in response.headers) == (status == 429)


def test_the_rerank_api_is_there_as_before(api):
    assert api.post("/v1/rerank", {"query": "q", "documents": ["score 0"]}).json()["results"] == [
        {"index": 0, "relevance_score": 0.5}
    ]
    assert "/v1/{index}/search" in api.client.get("/openapi.json").json()["paths"]
