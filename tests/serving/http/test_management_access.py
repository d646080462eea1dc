"""Who may change how the service runs: no web page, and nobody from afar without the key."""

from __future__ import annotations

import pytest

from sidecar.serving.http.asgi import Exchange
from sidecar.serving.http.management_access import obstacle_to_change
from sidecar.serving.status import _shown
from tests.support.servers.served import ask, served

NOWHERE = "http://127.0.0.1:9"
JSON = {"Content-Type": "application/json"}
OFF = b'{"enabled":false}'


@pytest.fixture(scope="module")
def running():
    with served(NOWHERE) as service:
        yield service


def enabled(running):
    return running.ask("GET", "/_sidecar/rerank").json()["enabled"]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (415, {}),
        (415, {"Content-Type": "text/plain"}),
        (415, {"Content-Type": "text/plain; x=application/json"}),
        (415, {"Content-Type": "application/x-www-form-urlencoded"}),
        (403, {**JSON, "Origin": "https://evil.example"}),
        (403, {**JSON, "Origin": "null"}),
        (403, {**JSON, "Origin": "http://["}),
        (403, {**JSON, "Sec-Fetch-Site": "cross-site"}),
        (403, {**JSON, "Host": "evil.example:9280", "Origin": "http://evil.example:9280"}),
        (403, {**JSON, "Host": "evil.example:9280"}),
        (403, {**JSON, "Host": "["}),
        (403, {**JSON, "X-Forwarded-For": "203.0.113.9"}),
        (403, {**JSON, "Via": "1.1 gate"}),
    ],
)
def test_without_a_key_no_web_page_switches(running, status, headers):
    for method in ("PUT", "POST"):
        assert running.ask(method, "/_sidecar/rerank", OFF, headers).status == status
    assert enabled(running) is True


@pytest.mark.parametrize(
    "headers",
    [JSON, {**JSON, "Host": "localhost:1"}, {**JSON, "Host": "localhost:1", "Origin": "http://localhost:1"}],
)
def test_without_a_key_this_machine_switches(running, headers):
    assert running.ask("PUT", "/_sidecar/rerank", OFF, headers).json() == {"enabled": False}
    assert running.ask("PUT", "/_sidecar/rerank", b'{"enabled":true}', headers).json() == {"enabled": True}


@pytest.mark.parametrize(
    "sent", [b"{", b"[]", b'{"enabled":1}', b'{"\xff":true}', b'{"enabled":true,"on":"\xff"}', b""]
)
def test_a_switch_that_cannot_be_read_changes_nothing(running, sent):
    for url in (running.url, running.api_url):
        refused = ask(url, "PUT", "/_sidecar/rerank", sent, JSON)
        assert refused.status == 400
        assert refused.json()["error"].startswith('expected {"enabled": true or false}: ')
    assert enabled(running) is True


def obstacle(peer, key=None, hosts=(), **headers):
    scope = {"method": "PUT", "raw_path": b"/", "path": "/", "query_string": b"", "client": (peer, 1)}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()]
    return obstacle_to_change(Exchange.of(scope, None, None), key is not None, hosts)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_this_machine(peer):
    assert obstacle(peer) == ""


@pytest.mark.parametrize("peer", ["10.0.0.7", "192.0.2.1", "2001:db8::1", "::ffff:10.0.0.7", "", "nonsense"])
def test_from_afar_the_key_is_needed(peer):
    assert obstacle(peer) == "without SIDECAR_API_KEY only this machine itself may change anything"
    assert obstacle(peer, "s3cret") == ""  # that it was brought is looked at before
    assert obstacle(peer, "s3cret", origin="http://evil.example") != ""


def test_a_host_name_that_is_served_is_this_machines_too():
    assert obstacle("127.0.0.1", host="search.example:9280") != ""
    assert obstacle("127.0.0.1", None, ("search.example",), host="search.example:9280") == ""


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/health/live", "GET, HEAD"),
        ("DELETE", "/health/ready", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("PUT", "/models", "GET, HEAD"),
        ("PATCH", "/rerank", "GET, HEAD, POST, PUT"),
        ("GET", "/models/e5-small/reload", "POST"),
    ],
)
def test_a_method_that_is_not_taken_is_told_which_are(running, method, path, allow):
    answer = running.ask(method, f"/_sidecar{path}")
    assert (answer.status, answer.headers["allow"]) == (405, allow)


def test_a_head_is_answered_without_a_body(running):
    for path in ("/health/live", "/health/ready", "/metrics", "/models", "/rerank"):
        answer = running.ask("HEAD", f"/_sidecar{path}")
        assert (answer.body, int(answer.headers["content-length"]) > 0) == (b"", True), path


def test_the_status_is_told_on_both_ports(running):
    for url in (running.url, running.api_url):
        found = ask(url, "GET", "/_sidecar/status").json()
        assert (found["enabled"], found["scorer"]["ready"], found["scorer"]["restarts"]) == (True, True, 0)
        assert "refused" in found["opensearch"]["reason"].lower()
        (model,) = found["models"]
        assert (model["name"], model["fusion"], model["base_model"]) == ("e5-small", "rerank", None)
        assert ask(url, "POST", "/_sidecar/status").status == 405


def test_the_key_guards_it_on_the_other_port_too():
    with served(NOWHERE, api_key="s3cret") as service:
        for path in ("/_sidecar/status", "/_sidecar/models", "/_sidecar/metrics"):
            assert ask(service.api_url, "GET", path).status == 401
            assert ask(service.api_url, "GET", path, headers={"x-sidecar-api-key": "s3cret"}).status == 200
        reload, key = "/_sidecar/models/e5-small/reload", {"x-sidecar-api-key": "s3cret"}
        assert ask(service.api_url, "POST", reload, headers=key).status == 200
        assert ask(service.api_url, "POST", reload, headers=key | {"origin": "https://evil.example"}).status == 403
        assert ask(service.api_url, "GET", "/_sidecar/nothing", headers=key).status == 404


def test_a_path_of_this_machine_is_shown_by_its_last_part():
    shown = {"e5-small": "e5-small", "org/name": "org/name", "/models/law": "law", "./law/": "law", "a/b/c": "c"}
    assert {checkpoint: _shown(checkpoint) for checkpoint in shown} == shown
