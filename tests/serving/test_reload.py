"""Models loaded anew while the service runs: who may ask for it, and what it comes to."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.core.candidates import Passage
from sidecar.serving.scorer.terms import Terms
from tests.support.servers.served import served

KEY = {"X-Sidecar-Api-Key": "s3cret"}
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def running():
    models = {"general": "a", "broken one": "b", "poisoned": "c"}
    with served(NOWHERE, api_key="s3cret", models=models) as service:
        yield service


def test_models_are_listed_and_loaded_anew_with_the_key(running):
    listed = running.ask("GET", "/_sidecar/models", headers=KEY).json()["models"]
    assert listed["general"] == "general Scripted"
    found = running.ask("POST", "/_sidecar/models/general/reload", b"", KEY)
    assert (found.status, found.json()) == (200, {"model": "general", "identity": "general Shifted"})
    assert running.ask("GET", "/_sidecar/models", headers=KEY).json()["models"]["general"] == "general Shifted"


def test_a_score_that_is_remembered_is_not_that_of_another_model(running):
    service = running.running.service

    def score():
        asked = service.scores("e5-small", "query", [Passage("", "score 7")], Terms(10))
        return asyncio.run_coroutine_threadsafe(asked, running.loop).result(20)[0].value

    assert (score(), score()) == (7.0, 7.0)
    assert running.ask("POST", "/_sidecar/models/e5-small/reload", b"", KEY).status == 200
    assert score() == 1007.0


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/_sidecar/models", {}, 401),
        ("POST", "/_sidecar/models/general/reload", {}, 401),
        ("GET", "/_sidecar/models/general/reload", KEY, 405),
        ("POST", "/_sidecar/models/nobody/reload", KEY, 404),
        ("POST", "/_sidecar/models/a%2Fb/reload", KEY, 404),
        ("POST", "/_sidecar/models/general/else", KEY, 404),
    ],
)
def test_what_is_not_allowed_or_not_there_is_refused(running, method, path, headers, status):
    assert running.ask(method, path, None, headers).status == status


def test_one_that_cant_be_read_leaves_the_one_before(running):
    found = running.ask("POST", "/_sidecar/models/broken%20one/reload", b"", KEY)
    assert (found.status, found.json()) == (409, {"error": "the previous model stays: its files are damaged."})
    assert running.ask("GET", "/_sidecar/models", headers=KEY).json()["models"]["broken one"] == "broken one Scripted"


def test_one_that_gives_nan_leaves_the_one_before(running):
    found = running.ask("POST", "/_sidecar/models/poisoned/reload", b"", KEY)
    message = "the previous model stays: scripted scored 1 of 1 passages as NaN or infinity."
    assert (found.status, found.json()) == (409, {"error": message})
    assert running.ask("GET", "/_sidecar/models", headers=KEY).json()["models"]["poisoned"] == "poisoned Scripted"
    asked = running.running.service.scores("poisoned", "query", [Passage("", "score 7")], Terms(10))
    assert asyncio.run_coroutine_threadsafe(asked, running.loop).result(20)[0].value == 7.0


def test_without_a_key_nobody_loads_models_anew():
    with served(NOWHERE) as service:
        assert service.ask("GET", "/_sidecar/models").json()["models"] == {"e5-small": "e5-small Scripted"}
        assert service.ask("POST", "/_sidecar/models/e5-small/reload", b"").status == 403
