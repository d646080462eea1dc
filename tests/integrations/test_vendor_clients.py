"""Voyage's and Mixedbread's own Python clients, pointed at us instead: their types, and the errors they know."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sidecar.serving.rerank_api.middleware import AccessPolicy
from sidecar.serving.scorer.rate_limits import RateLimits
from tests.support.servers.api_server import served_api
from tests.support.servers.remote_stub import remote_stub
from tests.support.servers.served import served

pytestmark = [
    pytest.mark.integrations,
    # Of the clients' own doing, while they are imported.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
DOCUMENTS = ["score 0", "score 2", "score -1"]
# The scripted scorer counts words: one of the query and two of a text, three times.
TOKENS = 9


@pytest.fixture(scope="module")
def locked():
    with served_api(access=AccessPolicy("secret")) as served:
        yield served


@pytest.fixture(scope="module")
def used_up():
    with served_api(rates=RateLimits(requests=1)) as served:
        assert served.post("/v1/rerank", {"query": "q", "documents": DOCUMENTS}).status_code == 200
        yield served


def voyage(api, key="secret"):
    from voyageai import Client

    return Client(api_key=key, base_url=f"{api.url}/voyage/v1", max_retries=0)


def test_voyages_client_reads_an_answer(locked):
    found = voyage(locked).rerank("q", DOCUMENTS, model="m", top_k=2)
    assert [tuple(one) for one in found.results] == [(1, "score 2", 0.880797078), (0, "score 0", 0.5)]
    assert found.total_tokens == TOKENS


def test_voyages_client_knows_the_errors(locked, used_up):
    from voyageai import error

    with pytest.raises(error.InvalidRequestError, match="documents must not be empty"):
        voyage(locked).rerank("q", [], model="m")
    with pytest.raises(error.AuthenticationError, match="the API key is missing or wrong"):
        voyage(locked, "wrong").rerank("q", DOCUMENTS, model="m")
    with pytest.raises(error.RateLimitError, match="0 of 1 requests are left in this minute"):
        voyage(used_up).rerank("q", DOCUMENTS, model="m")


def mixedbread(api, key="secret", *, strict=True):
    from mixedbread import Mixedbread

    url = f"{api.url}/mixedbread"
    return Mixedbread(api_key=key, base_url=url, max_retries=0, _strict_response_validation=strict)


def test_mixedbreads_client_accepts_every_type_of_an_answer(locked):
    with mixedbread(locked) as client:
        found = client.rerank(model="m", query="q", input=DOCUMENTS, top_k=2, return_input=True)
    assert [(one.index, one.score, one.input) for one in found.data] == [
        (1, 0.880797078, "score 2"),
        (0, 0.5, "score 0"),
    ]
    assert (found.usage.total_tokens, found.model, found.top_k, found.return_input) == (TOKENS, "m", 2, True)
    assert found.model_extra == {}


def test_mixedbreads_client_knows_the_errors(locked, used_up):
    import mixedbread as theirs

    with mixedbread(locked) as client, pytest.raises(theirs.UnprocessableEntityError, match="input must not be empty"):
        client.rerank(query="q", input=[])
    with mixedbread(locked, "wrong") as client, pytest.raises(theirs.AuthenticationError, match="missing or wrong"):
        client.rerank(query="q", input=DOCUMENTS)
    with (
        mixedbread(used_up) as client,
        pytest.raises(theirs.RateLimitError, match="0 of 1 requests are left") as refused,
    ):
        client.rerank(query="q", input=DOCUMENTS)
    assert 1 <= int(refused.value.response.headers["retry-after"]) <= 60


def test_tokens_that_are_not_known_are_none_to_the_clients():
    # A remote scorer that tells none.
    with remote_stub("infinity") as scorer, served("http://127.0.0.1:9", model=scorer.url) as service:
        api = SimpleNamespace(url=service.api_url)
        assert voyage(api).rerank("q", DOCUMENTS, model="default").total_tokens is None
        with mixedbread(api, strict=False) as client:
            assert client.rerank(query="q", input=DOCUMENTS).usage.total_tokens is None
