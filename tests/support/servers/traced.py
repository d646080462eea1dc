"""Traces that stay in memory, and their spans as a tree that a test can read."""

from __future__ import annotations

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sidecar.serving.otel import OtelTraces
from tests.support.waiting import until

TRACE, CLIENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CLIENT}-01"


class Finished(SimpleSpanProcessor):
    """Keeps spans that have ended, and counts the others: a server's span may end after its answer has come."""

    unfinished = 0

    def on_start(self, span, parent_context=None):
        self.unfinished += 1

    def on_end(self, span):
        super().on_end(span)
        self.unfinished -= 1


class TracesInMemory:
    """The means by which a service writes its traces (`traces`), and the spans, once all have ended."""

    def __init__(self, *, queries=False):
        self._exporter = InMemorySpanExporter()
        self._processor = Finished(self._exporter)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        self.traces = OtelTraces(provider, queries=queries)

    def spans(self):
        """All spans so far."""
        until(lambda: not self._processor.unfinished)
        return self._exporter.get_finished_spans()

    def clear(self):
        """Forget all spans so far."""
        self.spans()
        self._exporter.clear()

    def one(self, name="", kind="INTERNAL"):
        """The only span of a kind, or of a kind and name."""
        (found,) = [span for span in self.spans() if span.kind.name == kind and name in {"", span.name}]
        return found

    def tree(self):
        """The names of the last request's spans as (name, children), in the order of their begin."""
        return _below(self.one(kind="SERVER"), sorted(self.spans(), key=lambda span: span.start_time))


def _below(span, spans):
    own = [one for one in spans if one.parent is not None and one.parent.span_id == span.context.span_id]
    return (span.name, [_below(one, spans) for one in own]) if own else span.name


def traceparent_of(span):
    """The header that a request within a span carries."""
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"
