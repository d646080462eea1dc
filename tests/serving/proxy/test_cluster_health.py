"""Whether OpenSearch answers is said as it is: by health, by the log, by a metric, each with the reason."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sidecar.serving.proxy.cluster_health import ClusterHealth
from sidecar.serving.proxy.messages import Request
from sidecar.serving.proxy.upstream import Result, Upstream, UpstreamDown, UpstreamLimits
from tests.support.servers.hits import answer
from tests.support.servers.scripted import FAKE
from tests.support.servers.served import ask, served
from tests.support.servers.stub import Stub
from tests.support.waiting import until

NOWHERE = "http://127.0.0.1:9"
ABOUT = '{"name":"n","cluster_name":"books","version":{"distribution":"opensearch","number":"2.19.1"},"tagline":"x"}'
OPENSEARCH = answer(200, ABOUT)
REFUSED = answer(401, "Unauthorized")


def guarded(request):
    """An OpenSearch with accounts: without one it tells only that its security plugin is up."""
    if request.startswith(b"GET /_plugins/_security/health "):
        return answer(200, '{"message":null,"mode":"strict","status":"UP"}')
    return OPENSEARCH if b"Basic " + base64.b64encode(b"kim:right") in request else REFUSED


def ready(running, part=""):
    answered = running.ask("GET", f"/_sidecar/health/ready{part}")
    return answered.status, answered.json()


def test_a_cluster_that_is_not_there_is_not_ready_and_the_scorer_is():
    with served(NOWHERE) as running:
        reason = "opensearch: Connection refused"
        assert ready(running) == (
            503,
            {
                "status": "not ready",
                "reason": reason,
                "scorer": {"status": "ready"},
                "opensearch": {"status": "not ready", "reason": "Connection refused"},
            },
        )
        assert ready(running, "/scorer") == (200, {"status": "ready"})
        assert ready(running, "/opensearch") == (503, {"status": "not ready", "reason": reason})
        assert running.ask("GET", "/_sidecar/health/live").status == 200


def test_a_scorer_that_is_not_there_leaves_the_cluster_ready():
    with Stub(OPENSEARCH) as stub, served(stub.url, hang_seconds=600) as running:
        running.running.service.scorers.links[0].replace("the scorer is killed")  # until its end is noticed
        status, said = ready(running)
        assert (status, said["opensearch"], said["scorer"]["status"]) == (503, {"status": "ready"}, "not ready")
        assert said["reason"] == f"scorer: {said['scorer']['reason']}"
        assert ready(running, "/opensearch") == (200, {"status": "ready"})


def test_both_are_ready():
    with Stub(OPENSEARCH) as stub, served(stub.url) as running:
        assert ready(running) == (
            200,
            {"status": "ready", "scorer": {"status": "ready"}, "opensearch": {"status": "ready"}},
        )


@pytest.mark.parametrize(
    ("answered", "reason"),
    [
        (answer(503, "{}"), "it answers 503"),
        (b"nonsense\r\n\r\n", "its answer is no HTTP"),
        (lambda _: [(0, None)], "it closed the connection before its answer"),
    ],
)
def test_what_answers_like_no_cluster_is_not_ready(answered, reason):
    with Stub(answered) as stub, served(stub.url) as running:
        assert ready(running, "/opensearch") == (503, {"status": "not ready", "reason": f"opensearch: {reason}"})


def test_a_cluster_that_hangs_holds_nobodys_health_up_for_long():
    with Stub(lambda _: [(30, None)]) as stub, served(stub.url) as running:
        started = time.monotonic()
        assert ready(running, "/opensearch")[0] == 503
        assert time.monotonic() - started < 3


def test_health_asks_opensearch_only_where_no_request_has_shown_it_of_late():
    with Stub(OPENSEARCH) as stub, served(stub.url) as running:
        running.ask("GET", "/docs")
        for _ in range(20):
            assert ready(running)[0] == 200
        assert len(stub.requests) == 1


async def with_upstream(url, work, **options):
    upstream = Upstream([url], UpstreamLimits(2))
    try:
        clock = [0.0]
        health = ClusterHealth(upstream, clock=lambda: clock[0], **options)
        upstream.on_try = health.tried
        return await work(upstream, health, clock)
    finally:
        await upstream.close()


def test_it_recovers_as_soon_as_a_request_is_answered(caplog):
    caplog.set_level(logging.INFO, "sidecar.upstream")

    async def work(upstream, health, clock):
        with pytest.raises(UpstreamDown):
            await upstream.fetch(Request("GET", "/docs", []))
        down = await health.check()
        stub.answer = OPENSEARCH
        await upstream.fetch(Request("GET", "/docs", []))
        return down, await health.check()

    with Stub(lambda _: [(0, None)]) as stub:
        assert asyncio.run(with_upstream(stub.url, work)) == ("it closed the connection before its answer", "")
    assert [record.getMessage() for record in caplog.records] == [
        f"OpenSearch at {stub.url}: it closed the connection before its answer",
        f"OpenSearch answers again at {stub.url}",
    ]


def test_a_failure_that_goes_on_is_logged_once_in_a_while(caplog):
    async def work(upstream, health, clock):
        for _ in range(100):
            with pytest.raises(UpstreamDown):
                await upstream.fetch(Request("GET", "/", []))
            clock[0] += 0.25

    asyncio.run(with_upstream(NOWHERE, work))
    assert [record.getMessage() for record in caplog.records] == [f"OpenSearch at {NOWHERE}: Connection refused"] * 3


@pytest.mark.parametrize(
    ("answered", "account", "about", "sent"),
    [
        (OPENSEARCH, None, "books (opensearch 2.19.1)", [b"/"]),
        (OPENSEARCH, b"Basic x", "books (opensearch 2.19.1)", [b"/"]),
        (answer(200, "hello"), None, "a server that does not say that it is OpenSearch or Elasticsearch", [b"/"]),
        (guarded, None, "its name and version are for accounts alone", [b"/", b"/_plugins/_security/health"]),
        (guarded, b"Basic " + base64.b64encode(b"kim:right"), "books (opensearch 2.19.1)", [b"/", b"/"]),
        (REFUSED, None, "its name and version are for accounts alone", [b"/", b"/_plugins/_security/health"]),
    ],
)
def test_the_log_says_which_cluster_was_found(answered, account, about, sent, caplog):
    caplog.set_level(logging.INFO, "sidecar.upstream")

    async def work(upstream, health, _):
        await health.introduce()
        return health.reason, upstream.checks_accounts

    with Stub(answered) as stub:
        reason, checks = asyncio.run(with_upstream(stub.url, work, authorization=account))
    assert (reason, checks) == ("", answered in (guarded, REFUSED))
    assert [record.getMessage() for record in caplog.records] == [f"OpenSearch at {stub.url}: {about}"]
    assert [request.split(b" ")[1] for request in stub.requests] == sent
    # The account goes only where accounts are asked for.
    assert [b"authorization" in request.lower() for request in stub.requests] == [
        False,
        *[account is not None and answered is guarded] * (len(sent) - 1),
    ]


def test_each_try_at_a_node_is_counted():
    with Stub(OPENSEARCH) as alive, served(f"{NOWHERE},{alive.url}") as running:
        for _ in range(4):
            assert running.ask("GET", "/docs").status == 200
        text = running.ask("GET", "/_sidecar/metrics").body.decode()
        assert f'sidecar_upstream_tries_total{{node="{alive.url}",result="answered"}} 4.0' in text
        assert f'sidecar_upstream_tries_total{{node="{NOWHERE}",result="unreachable"}}' in text
        assert f'sidecar_upstream_seconds_count{{node="{alive.url}"}} 4.0' in text
        assert "sidecar_upstream_up 1.0" in text


def test_an_answer_that_breaks_off_is_counted_and_says_nothing_of_the_cluster():
    tries = []

    async def work(upstream, health, _):
        upstream.on_try = lambda one: (tries.append(one), health.tried(one))
        with pytest.raises(UpstreamDown):
            await upstream.fetch(Request("GET", "/docs", []))
        return health.reason

    half = answer(200, "{}").replace(b"content-length: 2", b"content-length: 20")
    with Stub(lambda _: [(0, half), (0, None)]) as stub:
        assert asyncio.run(with_upstream(stub.url, work)) == ""
    assert [(one.result, one.node) for one in tries] == [(Result.ANSWERED, stub.url), (Result.BROKEN_OFF, stub.url)]


SERVE = """
import asyncio, json, sys
from sidecar.serving.run import serve
from sidecar.settings import Settings
asyncio.run(serve(Settings(opensearch_url=sys.argv[1], port=int(sys.argv[2]), api_port=0), json.loads(sys.argv[3])))
"""


def test_a_service_without_its_cluster_warns_with_url_and_reason_and_never_with_the_password():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-c", SERVE, "http://kim:s3cret@127.0.0.1:9", str(port), json.dumps(FAKE)]
    process = subprocess.Popen(words, cwd=Path(__file__).parents[3], stderr=subprocess.PIPE, text=True)
    lines: list[dict] = []

    def read():
        # Its scorer shares the stream, and may say that its pipe broke.
        lines.extend(json.loads(line) for line in process.stderr if line.startswith("{"))

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    try:
        until(lambda: any("no OpenSearch at" in line.get("message", "") for line in lines), seconds=60)
        until(lambda: answers(f"http://127.0.0.1:{port}"), seconds=60)
        assert ask(f"http://127.0.0.1:{port}", "GET", "/docs").status == 502
        until(lambda: any(line.get("status") == 502 for line in lines), seconds=60)
    finally:
        process.kill()
        process.wait()
    reading.join(10)
    process.stderr.close()
    assert {line["message"] for line in lines if line["level"] == "warning" and "message" in line} == {
        "OpenSearch at http://127.0.0.1:9: Connection refused",
        "no OpenSearch at http://127.0.0.1:9: Connection refused; requests get 502 until it answers",
    }
    (line,) = (line for line in lines if line.get("status") == 502)
    assert (line["level"], line["problem"]) == ("warning", "Connection refused")
    assert "s3cret" not in json.dumps(lines)


def answers(url):
    try:
        return ask(url, "GET", "/_sidecar/health/live").status == 200
    except OSError:
        return False
