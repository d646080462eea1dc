"""Cohere's own Python client, pointed at us instead: both versions of its API, and the errors it knows."""

from __future__ import annotations

import cohere
import pytest

from sidecar.serving.rerank_api.middleware import AccessPolicy
from tests.support.servers.api_server import served_api

DOCUMENTS = ["score 0", "score 2", "score -1"]


@pytest.fixture(scope="module")
def locked():
    with served_api(access=AccessPolicy("secret")) as served:
        yield served


@pytest.mark.parametrize("base", ["", "/cohere"])
def test_version_1(locked, base):
    with cohere.Client(api_key="secret", base_url=locked.url + base) as client:
        answer = client.rerank(
            query="q",
            documents=[{"text": text} for text in DOCUMENTS],
            model="rerank-v3.5",
            top_n=2,
            return_documents=True,
        )
    assert [(one.index, one.relevance_score, one.document.text) for one in answer.results] == [
        (1, 0.880797078, "score 2"),
        (0, 0.5, "score 0"),
    ]
    assert answer.meta.api_version.version == "1"


@pytest.mark.parametrize("base", ["", "/cohere"])
def test_version_2(locked, base):
    with cohere.ClientV2(api_key="secret", base_url=locked.url + base) as client:
        answer = client.rerank(query="q", documents=DOCUMENTS, model="rerank-v3.5")
    assert [(one.index, one.relevance_score) for one in answer.results] == [
        (1, 0.880797078),
        (0, 0.5),
        (2, 0.268941421),
    ]
    assert (answer.meta.api_version.version, answer.meta.billed_units.search_units) == ("2", 1)


@pytest.mark.parametrize("base", ["", "/cohere"])
@pytest.mark.parametrize(
    ("key", "asked", "error", "message"),
    [
        ("secret", {"documents": []}, cohere.BadRequestError, "documents must not be empty"),
        ("secret", {"model": "nosuch"}, cohere.NotFoundError, "declared are m, other, rerank-v3.5"),
        ("wrong", {}, cohere.UnauthorizedError, "the API key is missing or wrong"),
        ("secret", {"query": "fail"}, cohere.InternalServerError, "told to fail"),
    ],
)
def test_its_errors(locked, base, key, asked, error, message):
    wanted = {"query": "q", "documents": DOCUMENTS, "model": "m", "request_options": {"max_retries": 0}} | asked
    with cohere.ClientV2(api_key=key, base_url=locked.url + base) as client, pytest.raises(error) as caught:
        client.rerank(**wanted)
    assert message in caught.value.body["message"]
