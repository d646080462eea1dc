"""Requests of the vendors' clients, beside a well-formed rerank: names, probes, slashes, nulls, web pages."""

from __future__ import annotations

import pytest

from sidecar.serving.build import model_names
from sidecar.serving.rerank_api.engine import ModelNames
from sidecar.serving.rerank_api.middleware import AccessPolicy
from sidecar.serving.rerank_api.problem import Problem
from sidecar.settings import Settings
from sidecar.version import __version__
from tests.support.servers.api_server import served_api

BODY = {"query": "q", "documents": ["score 1", "score 2"]}
TEI = {"query": "q", "texts": ["score 1", "score 2"]}


def ranked(answer):
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return [one["index"] for one in (found if isinstance(found, list) else found["results"])]


@pytest.mark.parametrize("name", ["", "default", "default/not-specified", "m"])
def test_a_client_that_was_told_no_name_gets_the_first_model(api, name):
    answer = api.post("/v1/rerank", BODY | {"model": name})
    assert (ranked(answer), answer.json()["model"]) == ([1, 0], name or "m")


def test_a_catch_all_is_for_every_name_that_is_not_known():
    names = ModelNames(("m", "other"), {"rerank-v3.5": "m", "*": "other"})
    found = {name: names.find(name) for name in ("m", "rerank-v3.5", "gpt", "jina-reranker-v2", "default", None)}
    assert found == {
        "m": "m", "rerank-v3.5": "m", "gpt": "other", "jina-reranker-v2": "other", "default": "other", None: "m",
    }  # fmt: skip
    assert names.listed == {"m": "m", "other": "other", "rerank-v3.5": "m"}
    with pytest.raises(Problem):
        ModelNames(("m",), {}).find("gpt")


def test_a_catch_all_is_a_setting_like_any_alias():
    assert model_names(Settings(model_aliases={"*": "m"}), ("m",)).find("gpt") == "m"


GOT = ["/", "/health", "/tei/health", "/v1/models", "/v1/models/m", "/version", "/info", "/metrics", "/openapi.json"]


@pytest.mark.parametrize("path", GOT)
def test_whatever_can_be_got_can_be_probed(api, path):
    got, probed = api.client.get(path), api.client.head(path)
    assert (probed.status_code, probed.content) == (200, b"")
    assert probed.headers.get("content-type") == got.headers.get("content-type")


def test_one_model_is_described_or_not_there(api):
    listed = api.client.get("/v1/models").json()["data"]
    assert [one["id"] for one in listed] == ["m", "other", "rerank-v3.5"]
    assert [api.client.get(f"/v1/models/{one['id']}").json() for one in listed] == listed
    missing = api.client.get("/v1/models/BAAI/bge")
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "NotFoundError")


def test_versions_and_metrics_are_told(api):
    assert api.client.get("/version").json() == {"version": __version__}
    assert "sidecar_requests_total" in api.client.get("/metrics").text


@pytest.mark.parametrize("path", ["/info", "/tei/info"])
def test_tei_tells_numbers(api, path):
    about = api.client.get(path).json()
    numbers = {name: value for name, value in about.items() if name.startswith(("max_", "tokenization"))}
    assert numbers == {
        "max_concurrent_requests": 64,
        "max_input_length": 256,
        "max_batch_tokens": 512_000,
        "max_batch_requests": 2000,
        "max_client_batch_size": 2000,
        "tokenization_workers": 1,
    }


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "/v1/rerank", "POST"), ("POST", "/health", "GET, HEAD"), ("PUT", "/v1/models/m", "GET, HEAD")],
)
def test_another_method_is_told_which(api, method, path, allow):
    answer = api.client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)


@pytest.mark.parametrize(
    "path", ["/rerank", "/rerank/", "//rerank", "/v1//rerank/", "//v1/rerank//", "/jina//v1/rerank"]
)
def test_slashes_too_many_are_left_out(api, path):
    """A base address that ends in a slash, as LlamaIndex's clients of Jina and TEI join it."""
    assert ranked(api.post(api.url + path, BODY)) == [1, 0]
    if not path.startswith(("/v1", "//v1", "/jina")):
        assert ranked(api.post(api.url + path, TEI)) == [1, 0]


def test_slashes_open_no_door():
    with served_api(access=AccessPolicy("s3cret")) as api:
        for path in ("//v1/models", "/v1/models/", "//metrics", "/health/../metrics", "/openapi.json/x"):
            assert api.client.get(f"{api.url}{path}").status_code in {401, 404}, path
        assert api.client.get(f"{api.url}//health/").status_code == 200
        assert api.client.head("/metrics").status_code == 401


NULLS = ["top_n", "return_documents", "raw_scores", "return_text", "truncate", "truncation_direction", "priority",
         "rank_fields", "max_tokens_per_doc", "max_chunks_per_doc", "truncate_prompt_tokens", "use_activation",
         "model"]  # fmt: skip
PATHS = ["/v1/rerank", "/v2/rerank", "/rerank", "/cohere/v1/rerank", "/cohere/v2/rerank", "/jina/v1/rerank",
         "/vllm/rerank", "/infinity/rerank", "/tei/rerank"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_null_is_what_is_left_out(api, path):
    body = TEI if path == "/tei/rerank" else BODY
    assert ranked(api.post(path, body | dict.fromkeys(NULLS))) == [1, 0]
    both = {"texts": None, "candidates": None} if body is BODY else {"documents": None}
    assert ranked(api.post(path, body | both)) == [1, 0]


def test_infinity_repeats_documents_as_strings(api):
    made = {
        "query": "q",
        "documents": ["score 1", {"title": "two", "text": "score 2"}, {"title": "three", "body": "score 0"}],
    }
    answer = api.post("/infinity/rerank", made | {"return_documents": True, "raw_scores": True, "top_n": 3}).json()
    assert answer.pop("id").startswith("infinity-")
    assert isinstance(answer.pop("created"), int)
    assert answer == {
        "object": "rerank",
        "model": "m",
        "usage": {"prompt_tokens": 11, "total_tokens": 11},
        "results": [
            {"relevance_score": 2.0, "index": 1, "document": "score 2"},
            {"relevance_score": 1.0, "index": 0, "document": "score 1"},
            {"relevance_score": 0.0, "index": 2, "document": "three\nscore 0"},
        ],
    }
    bare = api.post("/infinity/v1/rerank", made).json()["results"]
    assert [one["document"] for one in bare] == [None, None, None]
    wrong = api.post("/infinity/rerank", {"query": "q", "documents": []})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, "documents")


def test_castorinis_candidates_come_back_in_their_new_order(api):
    candidates = [
        {"docid": "d1", "score": 9.5, "doc": {"contents": "score 1"}},
        {"docid": 2, "score": 8.5, "doc": {"title": "t", "segment": "score 3"}, "rank": 2},
        {"docid": "d3", "score": 7.5, "doc": "score 2"},
    ]
    answer = api.post("/v1/rerank", {"query": {"qid": "q7", "text": "q"}, "candidates": candidates, "top_n": 2}).json()
    assert answer == {
        "query": {"qid": "q7", "text": "q"},
        "model": "m",
        "candidates": [
            {"docid": 2, "score": 3.0, "doc": {"title": "t", "segment": "score 3"}, "rank": 2},
            {"docid": "d3", "score": 2.0, "doc": "score 2"},
        ],
    }
    wrong = api.post("/v1/rerank", {"query": "q", "candidates": [*candidates, {"docid": "d4", "doc": {"id": 4}}]})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, "candidates.3.doc")
    assert api.post("/v1/rerank", {"query": "q", "candidates": []}).status_code == 400


def test_web_pages_call_it_where_they_are_allowed_to():
    ours, foreign = {"Origin": "https://app.example"}, {"Origin": "https://evil.example"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    with served_api(access=AccessPolicy("s3cret"), cors_origins=("https://app.example",)) as api:
        preflight = api.client.options("/v1/rerank", headers=ours | asked)
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, "https://app.example")
        assert api.client.options("/v1/rerank", headers=foreign | asked).status_code == 400
        key = {"Authorization": "Bearer s3cret"}
        answer = api.post("/v1/rerank", BODY, headers=ours | key)
        assert (ranked(answer), answer.headers["access-control-allow-origin"]) == ([1, 0], "https://app.example")
        shown = answer.headers["access-control-expose-headers"].lower().split(", ")
        assert {name for name in answer.headers if name.startswith("x-")} <= {*shown}
        assert {"x-rerank-status", "x-rerank-reason", "x-rerank-stage", "x-rerank-kept"} <= {*shown}
        assert "access-control-allow-origin" not in api.post("/v1/rerank", BODY, headers=foreign | key).headers
        assert api.post("/v1/rerank", BODY, headers=ours).status_code == 401


def test_unless_set_no_web_page_is_answered(api):
    answer = api.post("/v1/rerank", BODY, headers={"Origin": "https://app.example"})
    assert not any(name.startswith("access-control") for name in answer.headers)
