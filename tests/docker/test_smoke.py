"""The health check and the smoke check tell a service that works from one that does not."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from tests.support.docker.dockerfile import ROOT
from tests.support.docker.scripts import script

KEY = "key-of-the-smoke-check"


@contextmanager
def answering(status):
    """A server that answers everything with one status; yields its port and the Host headers that came."""
    hosts = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            hosts.append((self.path, self.headers["Host"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"what it says")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield str(server.server_port), hosts
        finally:
            server.shutdown()
            thread.join()


def free_ports():
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return [str(opened.getsockname()[1]) for opened in (one, other)]


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (403, 1)])
def test_the_health_check_is_what_readiness_says(status, code):
    with answering(status) as (port, hosts):
        done = script("healthcheck.py", SIDECAR_PORT=port, SIDECAR_HOST="0.0.0.0")
    assert (done.returncode, done.stdout) == (code, "what it says\n")
    assert hosts == [("/_sidecar/health/ready", "localhost")]


def test_the_health_check_names_a_host_that_is_served():
    with answering(200) as (port, hosts):
        assert script("healthcheck.py", SIDECAR_PORT=port, SIDECAR_ALLOWED_HOSTS="search.test, other").returncode == 0
    assert hosts[0][1] == "search.test"


def test_the_health_check_asks_the_default_port_where_kubernetes_set_the_variable():
    done = script("healthcheck.py", SIDECAR_PORT="tcp://10.0.0.1:80", SIDECAR_HOST="127.0.0.2")
    assert done.returncode == 1
    assert done.stdout.startswith("no answer: ")  # nobody listens at 127.0.0.2:9280
    assert done.stderr == ""


def test_the_health_check_of_nothing_says_so():
    done = script("healthcheck.py", SIDECAR_PORT=free_ports()[0])
    assert done.returncode == 1
    assert done.stdout.startswith("no answer: ")


def test_the_smoke_check_of_nothing_says_so():
    done = script("smoke.py", f"http://127.0.0.1:{free_ports()[0]}", "--wait", "0.1")
    assert done.returncode == 1
    assert done.stdout.startswith("WRONG it was not ready within 0.1 s: ")


def test_the_smoke_check_of_what_is_no_sidecar_names_all_that_is_wrong():
    with answering(200) as (port, _):
        done = script("smoke.py", f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith("WRONG health: expected JSON, got 'what it says'")
    assert not [line for line in done.stdout.splitlines() if line.startswith("ok")]


@pytest.mark.live
def test_a_service_passes_and_one_that_lets_only_searches_pass_too(opensearch_url, client, tmp_path):
    port, api_port = free_ports()
    urls = [f"http://127.0.0.1:{port}", f"http://127.0.0.1:{api_port}"]
    words = ["--opensearch-url", opensearch_url, "--port", port, "--api-port", api_port, "--device", "cpu"]
    env = os.environ | {"SIDECAR_API_KEY": KEY, "SIDECAR_PASS_THROUGH": "read-only"}
    command = [sys.executable, "-c", "from sidecar.cli.main import main; main()", "serve", *words]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=log, stderr=log)
    try:
        done = script("smoke.py", *urls, "--wait", "300", "--opensearch", opensearch_url, SIDECAR_API_KEY=KEY)
        assert done.returncode == 0, done.stdout + done.stderr
        refused = script("smoke.py", *urls, SIDECAR_API_KEY=KEY)
        assert refused.returncode == 1
        assert "name OpenSearch itself with --opensearch URL" in refused.stdout
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert client.indices.get(index="sidecar-smoke-*", allow_no_indices=True) == {}
