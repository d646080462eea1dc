"""Every language's own HTTP client, with its defaults, gets the whole answer to its whole body on both ports."""

from __future__ import annotations

import pytest

from tests.support.clients.runtimes import HERE, found, go_program, java, run

pytestmark = pytest.mark.live

PORTS = pytest.mark.parametrize("port", ["search", "rerank"])


@PORTS
def test_javas_http_client_which_offers_http_2(port, requests):
    url, path, expected = requests[port]
    lines = run([java(), HERE / "DefaultClient.java", url, path]).splitlines()
    assert [line.split(" ", 2)[:2] for line in lines] == [["200", "HTTP_1_1"]] * 4
    assert [line for line in lines if expected not in line] == []


@PORTS
@pytest.mark.parametrize("more", [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]])
@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2"])
def test_curl_which_offers_http_2(port, version, more, requests):
    url, path, expected = requests[port]
    if version == "--http1.0" and more:
        more = []  # neither chunks nor Expect are of HTTP/1.0
    curl = found("curl", "it is a client")
    words = [curl, "-sS", version, "--max-time", "20", "-w", "\n%{http_code} %{http_version}"]
    said, status = run(
        [*words, *more, "-H", "Content-Type: application/json", "--data-binary", f"@{path}", url]
    ).rsplit("\n", 1)
    assert status == "200 1.1"
    assert expected in said


@PORTS
def test_gos_http_client(port, requests):
    url, path, expected = requests[port]
    lines = run([go_program("default_go"), url, path]).splitlines()
    assert [line.split(" ", 2)[:2] for line in lines] == [["200", "HTTP/1.1"]] * 4
    assert [line for line in lines if expected not in line] == []
