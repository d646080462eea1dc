"""Metrics say what happened in few series, whatever requests bring."""

from __future__ import annotations

import copy
import json
import re

import pytest

from sidecar.reasons import Reason, Why
from tests.serving.hits import opensearch
from tests.serving.served import served
from tests.serving.stub import Stub
from tests.serving.test_reranked_search import JSON, body, outcome


@pytest.fixture(scope="module")
def upstream():
    with Stub(opensearch) as stub:
        yield stub


@pytest.fixture
def service(upstream):
    with served(upstream.url) as running:
        yield running


def series(running):
    """Every series and its value."""
    text = running.ask("GET", "/_sidecar/metrics").body.decode()
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def fallbacks(running):
    name = re.compile(r'sidecar_fallbacks_total\{.*reason="([^"]*)".*\}')
    return {found[1]: float(value) for one, value in series(running).items() if (found := name.fullmatch(one))}


def test_a_label_never_holds_what_a_request_brought(service):
    made = json.dumps(body()).encode()
    for i in range(40):
        answer = service.ask("POST", "/docs/_search", made, {"content-type": f"a{i} RANDOM{i} b/c{i}"})
        assert outcome(answer) == ("skipped", f"the body is a{i} random{i} b/c{i}, not JSON")
        assert outcome(service.search(f"docs{i}", body(f"fail {i}")))[0] == "failed"
    assert fallbacks(service) == {"not_json": 40.0, "scoring_failed": 40.0}
    assert not any("RANDOM" in one.upper() for one in series(service))


@pytest.mark.parametrize(
    ("query", "more", "reason"),
    [
        ("fox sleep 3000", {"rerank": {"timeout_ms": 100}}, "too_slow"),
        ("nan", {}, "scoring_failed"),
        ("fox", {"sort": ["price"]}, "own_order"),
        ("fox", {"size": 0}, "no_hits"),
        ("fox", {"size": -1}, "malformed"),
        ("", {}, "no_query_text"),
        ("broken", {}, "search_refused"),
    ],
)
def test_each_reason_has_its_code(service, query, more, reason):
    service.search("docs", body(query, **more))
    assert fallbacks(service) == {reason: 1.0}


def test_several_searches_are_counted_each(service):
    searches = [body("fox"), body("hound"), body("fail"), body("fox", rerank=False)]
    lines = b"".join(b"{}\n" + json.dumps(one).encode() + b"\n" for one in searches)
    assert service.ask("POST", "/docs/_msearch", lines, JSON).status == 200
    found = {one: value for one, value in series(service).items() if one.startswith("sidecar_reranks_total")}
    assert {re.search('status="([a-z]+)"', one)[1]: value for one, value in found.items()} == {
        "applied": "2.0",
        "failed": "1.0",
    }
    assert fallbacks(service) == {"scoring_failed": 1.0}


def test_a_reason_is_words_with_a_code():
    why = Why(Reason.NO_HITS, "there are no hits")
    assert (why, why.reason, str(copy.deepcopy(why)), copy.copy(why).reason) == (
        "there are no hits",
        Reason.NO_HITS,
        "there are no hits",
        Reason.NO_HITS,
    )
