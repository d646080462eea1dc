"""Cohere's own Python client, pointed at us instead: both versions of its API, and the errors it knows."""

from __future__ import annotations

import cohere
import pytest
from pydantic import BaseModel

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


SPANS = {"mode": "enabled", "threshold": 0, "max_spans": 1}


@pytest.mark.parametrize(
    ("path", "kind", "more"),
    [
        ("/cohere/v1/rerank", cohere.RerankResponse, {"return_documents": True}),
        ("/cohere/v2/rerank", cohere.V2RerankResponse, {}),
        ("/cohere/v2/rerank", cohere.V2RerankResponse, {"relevant_spans": SPANS}),
    ],
)
def test_an_answer_has_the_clients_types_and_nothing_else(locked, path, kind, more):
    asked = {"query": "q", "documents": DOCUMENTS, **more}
    answer = locked.post(path, asked, headers={"authorization": "Bearer secret"})
    found = kind.model_validate_json(answer.content, strict=True)
    assert list(extras(found)) == []
    assert found.meta.tokens.input_tokens == (18 if "relevant_spans" in more else 9)
    spans = [one.relevant_spans for one in found.results if "relevant_spans" in more]
    assert [[(span.start, span.end) for span in own] for own in spans] == [[(0, 7)], [(0, 7)], [(0, 8)]][: len(spans)]


def extras(value):
    """Yield what a model of the client does not name, at any depth."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, BaseModel):
            yield from one.model_extra or {}
            for name in type(one).model_fields:
                yield from extras(getattr(one, name))


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
