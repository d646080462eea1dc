"""No request makes OpenSearch read a part of it as another one: each caller has its own answers, and all its body."""

from __future__ import annotations

import pytest

from tests.support.attack.framing_attacks import CLASSES, RERANKED
from tests.support.attack.raw_requests import Attempt, chunked, head, sent_all
from tests.support.attack.scale import SCALE, made_up
from tests.support.servers.service_process import address_of, serving

pytestmark = [pytest.mark.live, pytest.mark.attack]

INPUTS = 30 * SCALE


@pytest.fixture(scope="module", params=["search"] if SCALE == 1 else ["all", "search"])
def service(request, cluster, tmp_path_factory):
    folder = tmp_path_factory.mktemp("framing")
    with serving(folder, **cluster.settings, pass_through=request.param) as running:
        yield running


@pytest.mark.parametrize("name", CLASSES)
def test_no_request_is_read_as_two(name, service, cluster, attacked):
    mallory = cluster.accounts["mallory"].authorization
    answered = attacked(name, service, made_up(name, CLASSES[name], INPUTS, mallory))
    for attempt, answer in answered:
        assert b"x-injected" not in answer.lower().partition(b"\r\n\r\n")[0], (attempt, answer)
        assert not attempt.framed_twice or answer.count(b"HTTP/1.1 ") <= 1, (attempt, answer)


OFFERS = [
    [("Expect", "100-continue")],
    [("expect", "100-Continue")],
    [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAEAAEAAAAIAAAAB")],
    [("Connection", "upgrade"), ("Upgrade", "websocket")],
    [("Connection", "keep-alive"), ("Upgrade", "x")],
    [("Connection", "close")],
    [],
]


@pytest.mark.parametrize("port", ["search", "rerank"])
def test_no_body_is_lost(port, service, cluster, report):
    """Sound requests, in whatever frame and pieces, with whatever offer: the answer is that to the whole body."""
    mallory = cluster.accounts["mallory"]
    target, body, expected = {
        "search": ("/public/_search", RERANKED, mallory.word.encode()),
        "rerank": ("/v1/rerank", b'{"query": "fox", "documents": ["score 1", "score 2"]}', b'"index":1'),
    }[port]
    attempts = []
    for offer in OFFERS:
        headers = [
            ("Host", "x"),
            ("Content-Type", "application/json"),
            ("Authorization", mallory.authorization),
            *offer,
        ]
        plain = head("POST", target, [*headers, ("Content-Length", len(body))])
        cut = head("POST", target, [*headers, ("Transfer-Encoding", "chunked")])
        for begun, sent in ((plain, body), (cut, chunked(body, [1, 7])), (cut, chunked(body))):
            pieces = [[begun + sent], [begun, sent], [begun, sent[:5], sent[5:]], [begun + sent[:3], sent[3:]]]
            attempts += [Attempt(one, wait=5) for one in pieces]
    answered = sent_all(service.address if port == "search" else address_of(service.api_url), attempts)
    lost = [(attempt, answer[:300]) for attempt, answer in answered if expected not in answer]
    assert lost == []
    report.add(f"offers and frames of sound bodies, {port}", len(attempts), None, "no body was lost")
