"""Write traces with OpenTelemetry, an extra: the only module that imports it, and it is imported only if asked for.

OpenTelemetry's own variables (`OTEL_…`) say where the traces go, which of them, and under which name.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import get_global_textmap
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context

from sidecar.core.errors import ConfigurationError
from sidecar.core.trace import Value
from sidecar.serving.http.headers import Headers
from sidecar.version import __version__

# Seconds that the last spans may take to be sent when the service ends.
LAST_SECONDS = 5.0
_EXPORTERS: dict[str, type[SpanExporter] | None] = {
    "otlp": OTLPSpanExporter,
    "console": ConsoleSpanExporter,
    "none": None,
}
_PROTOCOL = "http/protobuf"


class OtelTraces:
    """Begins a trace for each request, or continues that of its client. `queries` allows words of callers in spans."""

    def __init__(self, provider: TracerProvider, *, queries: bool = False) -> None:
        self.queries = queries
        self.tracer = provider.get_tracer("rerank-sidecar", __version__)
        self.propagator = get_global_textmap()
        self._provider = provider

    def begin(self, name: str, headers: Headers, attributes: Mapping[str, Value]) -> OtelSpan:
        """Begin the span of a request that came in with these headers."""
        parent = self.propagator.extract(self._carried(headers))
        return OtelSpan(self, self.tracer.start_span(name, parent, SpanKind.SERVER, attributes), parent)

    def _carried(self, headers: Headers) -> dict[str, str]:
        """Return the headers that describe a trace; the values of one that came several times are joined."""
        found: dict[str, str] = {}
        for raw_name, value in headers:
            if (name := raw_name.decode("latin-1")) in self.propagator.fields:
                text = value.decode("latin-1")
                found[name] = f"{found[name]},{text}" if name in found else text
        return found

    async def close(self) -> None:
        """Send the last spans, or give up after some seconds: the service ends, whether they are taken or not."""
        # A thread of its own, for which the end of the process does not wait.
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, LAST_SECONDS)


class OtelSpan:
    """A span of OpenTelemetry, as `sidecar.core.trace.TraceSpan` describes it."""

    def __init__(self, traces: OtelTraces, span: Span, within: Context) -> None:
        self._traces = traces
        self._span = span
        self._context = set_span_in_context(span, within)

    def child(
        self,
        name: str,
        attributes: Mapping[str, Value] | None = None,
        *,
        is_client: bool = False,
        started: float | None = None,
    ) -> OtelSpan:
        """Begin a span below this one."""
        kind = SpanKind.CLIENT if is_client else SpanKind.INTERNAL
        span = self._traces.tracer.start_span(name, self._context, kind, attributes, start_time=_clock(started))
        return OtelSpan(self._traces, span, self._context)

    def tell(self, attributes: Mapping[str, Value]) -> None:
        """Set attributes."""
        self._span.set_attributes(attributes)

    def quote(self, name: str, text: str) -> None:
        """Set an attribute to words of a caller, if the settings allow it."""
        if self._traces.queries:
            self._span.set_attribute(name, text)

    def rename(self, name: str) -> None:
        """Give the span another name."""
        self._span.update_name(name)

    def carrier(self) -> Mapping[str, str]:
        """Return the headers that carry the trace on; "" for one that the caller sent and is not valid."""
        made: dict[str, str] = {}
        self._traces.propagator.inject(made, self._context)
        return dict.fromkeys(self._traces.propagator.fields, "") | made

    def end(self, *, error: str = "", ended: float | None = None) -> None:
        """End the span."""
        if error:
            self._span.set_attribute("error.type", error)
            self._span.set_status(StatusCode.ERROR)
        self._span.end(_clock(ended))


def _clock(at: float | None) -> int | None:
    """Return the nanoseconds since 1970 at a time of `time.perf_counter`."""
    return None if at is None else time.time_ns() - int((time.perf_counter() - at) * 1e9)


def traces_from_environment(*, queries: bool) -> OtelTraces:
    """Write traces as OpenTelemetry's variables say. Raises `ConfigurationError` for a value that is not honoured."""
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or _PROTOCOL
    for name, value in _given("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", protocol):
        _refuse_unknown(name, value, [_PROTOCOL])
    resource = Resource.create({SERVICE_VERSION: __version__})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "rerank-sidecar"}))
    # The service itself ends it: at the end of the process nothing may be waited for.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for name, value in _given("OTEL_TRACES_EXPORTER", "otlp"):
        _refuse_unknown(name, value, list(_EXPORTERS))
        if (exporter := _EXPORTERS[value]) is not None:
            provider.add_span_processor(BatchSpanProcessor(exporter()))
    return OtelTraces(provider, queries=queries)


def _given(name: str, default: str) -> list[tuple[str, str]]:
    """Return a variable's values, each with its name."""
    return [(name, one.strip()) for one in (os.environ.get(name) or default).split(",")]


def _refuse_unknown(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigurationError(f"{name}: {value} is not supported.", remedy=f"Choose {' or '.join(known)}.")
