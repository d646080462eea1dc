"""Against a real node: what OpenSearch refuses early costs its own caller an answer, and nobody else anything."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request

import pytest

from tests.support.servers.served import served
from tests.support.servers.wire import request, talk

pytestmark = pytest.mark.live
SMUGGLED = b"DELETE /precious HTTP/1.1\r\nHost: x\r\nX-Ignore: "


@pytest.fixture(scope="module")
def service(opensearch_url):
    for name, text in (("precious", "kept"), ("docs", "flöhe")):
        put(opensearch_url, f"/{name}/_doc/fl%C3%B6he?refresh=true", {"text": text})
    with served(opensearch_url, opensearch_timeout=5) as running:
        yield running


def put(url, path, body):
    data, headers = json.dumps(body).encode(), {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url + path, data, headers, method="PUT"), timeout=30) as answer:
        answer.read()


def precious_is_there(url):
    with urllib.request.urlopen(f"{url}/precious/_count", timeout=10) as answer:
        return json.load(answer)["count"] == 1


REFUSED_EARLY = {
    "expect nonsense": request(b"/docs/_search", SMUGGLED, b"Expect: nonsense"),
    "expect nothing": request(b"/docs/_search", SMUGGLED, b"Expect: "),
    "expect two": request(b"/docs/_search", SMUGGLED, b"Expect: 100-continue, x"),
    "a long header": request(b"/docs/_search", SMUGGLED, b"Authorization: Bearer " + b"a" * 9000),
    "a long header, no body": request(b"/docs", b"", b"Cookie: " + b"a" * 60_000, method=b"GET"),
    "a long target": request(b"/docs/_search?q=" + b"a" * 5000, SMUGGLED),
    "an upgrade": request(b"/docs/_search", SMUGGLED, b"Connection: Upgrade", b"Upgrade: h2c"),
}


@pytest.mark.parametrize("name", REFUSED_EARLY)
def test_the_next_requests_are_answered_at_once_and_rightly(service, opensearch_url, name):
    for _ in range(8):
        answer, _ = talk(service.url, REFUSED_EARLY[name])
        assert answer.startswith(b"HTTP/1.1 4")
        assert answer.count(b"HTTP/1.1 ") == 1
        for _ in range(3):
            found = service.ask("GET", "/docs/_doc/fl%C3%B6he", timeout=4)
            assert (found.status, found.json()["_source"]) == (200, {"text": "flöhe"})
    assert precious_is_there(opensearch_url)


def test_what_opensearch_answers_to_odd_targets_it_answers_through_the_sidecar(service, opensearch_url):
    for line in (
        b"OPTIONS * HTTP/1.1",
        b"GET /docs/_search?q=fl\xc3\xb6he&filter_path=hits.total HTTP/1.1",
        b"GET /docs/_search?q=fl\xf6he&filter_path=hits.total HTTP/1.1",
        b"GET /docs/_doc/fl\xc3\xb6he HTTP/1.1",
        b"GET /docs/_doc/fl\xf6he HTTP/1.1",
    ):
        whole = line + b"\r\nHost: x\r\nConnection: close\r\n\r\n"
        direct, through = (talk(url, whole)[0].partition(b"\r\n\r\n") for url in (opensearch_url, service.url))
        assert through[0].split(b"\r\n")[0] == direct[0].split(b"\r\n")[0]
        assert through[2] == direct[2]
