"""Where traces go: OpenTelemetry's variables are honoured or refused, and without traces nothing of it is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar.core.errors import ConfigurationError
from sidecar.serving.starting import build_traces
from sidecar.settings import Settings
from tests.support.servers.searches import body
from tests.support.servers.served import served

EVERYTHING = "import sidecar.serving.run, sidecar.serving.build, sidecar.serving.scorer.worker"


@contextmanager
def collector():
    """A collector of traces: the paths, headers and requests that it got."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            sent = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.path, dict(self.headers), ExportTraceServiceRequest.FromString(sent)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        server.server_close()


def test_traces_go_where_the_variables_say(upstream, monkeypatch):
    with collector() as (url, got):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=abc")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        with served(upstream.url, traces=True) as running:
            running.search("docs", body())
        # What was not sent before the service ended was sent then.
        ((path, headers, request),) = got
    assert (path, headers["x-key"]) == ("/v1/traces", "abc")
    (resource,) = request.resource_spans
    told = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert (told["service.name"], told["deployment.environment.name"]) == ("rerank-sidecar", "test")
    names = {span.name for scope in resource.scope_spans for span in scope.spans}
    stages = {"rerank", "score", "queue", "tokenise", "device", "fuse"}
    assert names == {"POST /{index}/_search", "GET /{index}/_settings/{any}", *stages}


def test_the_services_name_is_the_operators(monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "search")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    traces = build_traces(Settings(traces=True))
    assert traces._provider.resource.attributes["service.name"] == "search"


def test_a_collector_that_is_gone_does_not_keep_the_service(upstream, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with served(upstream.url, traces=True) as running:
        assert running.search("docs", body()).status == 200
        started = time.monotonic()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER: zipkin is not supported."),
        ("OTEL_TRACES_EXPORTER", "otlp,jaeger", "OTEL_TRACES_EXPORTER: jaeger is not supported."),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: grpc is not supported."),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: http/json is not"),
    ],
)
def test_a_value_that_is_not_honoured_is_refused(monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as refused:
        build_traces(Settings(traces=True))
    assert refused.value.message.startswith(message)


def loaded_with(code, **variables):
    env = {**os.environ, **variables}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    return done.stdout.strip()


def test_a_propagator_that_is_not_there_is_refused():
    code = (
        "from sidecar.core.errors import ConfigurationError\n"
        "from sidecar.serving.starting import build_traces\n"
        "from sidecar.settings import Settings\n"
        "try:\n"
        "    build_traces(Settings(traces=True))\n"
        "except ConfigurationError as error:\n"
        "    print(error.message)\n"
    )
    assert loaded_with(code, OTEL_PROPAGATORS="pigeon").startswith("OTEL_PROPAGATORS: Propagator pigeon not found")


def test_without_the_extra_traces_are_refused(monkeypatch):
    monkeypatch.delitem(sys.modules, "sidecar.serving.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigurationError, match="traces is set, but OpenTelemetry can't be imported") as refused:
        build_traces(Settings(traces=True))
    assert refused.value.remedy == "Install it with: pip install 'rerank-sidecar[otel]'"
    assert build_traces(Settings()) is None


def test_the_service_without_traces_loads_nothing_that_writes_them():
    # FastAPI itself imports opentelemetry-api, where it is installed.
    writers = "'opentelemetry.sdk', 'opentelemetry.exporter', 'opentelemetry.proto', 'sidecar.serving.otel'"
    code = f"{EVERYTHING}\nimport sys\nprint(sorted(one for one in sys.modules if one.startswith(({writers}))))"
    assert loaded_with(code) == "[]"
