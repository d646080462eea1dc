"""Time the stages of a request, and the requests that it sends; if the operator has traces written, they are spans.

Times of a stage are taken here once, for metrics, `Server-Timing`, explanations and the trace alike. The span that a
request has now is in a context variable, so that nobody hands it on. No library is known here: `sidecar.serving.otel`
writes spans with OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from time import perf_counter
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

Value = str | int | float
_LONGEST_URL = 500


class TraceSpan(Protocol):
    """A part of a trace. Times are those of `time.perf_counter`; None is now."""

    def child(
        self,
        name: str,
        attributes: Mapping[str, Value] | None = None,
        *,
        is_client: bool = False,
        started: float | None = None,
    ) -> TraceSpan:
        """Begin a span below this one; `is_client` if it is a request to another service."""
        ...

    def tell(self, attributes: Mapping[str, Value]) -> None:
        """Set attributes."""
        ...

    def quote(self, name: str, text: str) -> None:
        """Set an attribute to words of a caller; nothing is set unless the operator wants them in traces."""
        ...

    def rename(self, name: str) -> None:
        """Give the span another name."""
        ...

    def carrier(self) -> Mapping[str, str]:
        """Return the headers that make the receiver of a request continue this trace; "" for one to leave out."""
        ...

    def end(self, *, error: str = "", ended: float | None = None) -> None:
        """End the span; `error` is the kind of an error, never its message."""
        ...


_current: ContextVar[TraceSpan | None] = ContextVar("span", default=None)


def current_span() -> TraceSpan | None:
    """Return the span that the request has now; None if it is not traced."""
    return _current.get()


class WithinSpan:
    """A block that is in a span, if there is one: `with WithinSpan(span): …` ends the span, too."""

    __slots__ = ("_error", "_span", "_token")

    def __init__(self, span: TraceSpan | None) -> None:
        self._span = span
        self._error = ""

    def __enter__(self) -> Self:
        if self._span is not None:
            self._token: Token[TraceSpan | None] = _current.set(self._span)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._span is not None:
            _current.reset(self._token)
            self._span.end(error=self._error if kind is None else kind.__name__)

    def tell(self, attributes: Mapping[str, Value]) -> None:
        """Set attributes of the span."""
        if self._span is not None:
            self._span.tell(attributes)

    def quote(self, name: str, text: str) -> None:
        """Set an attribute to words of a caller, if the operator wants them in traces."""
        if self._span is not None:
            self._span.quote(name, text)

    def answered(self, status: int, *, is_error: bool) -> None:
        """Set the HTTP status of the answer to the request that the span is for."""
        self.tell({"http.response.status_code": status})
        self._error = str(status) if is_error else ""


class Stage(WithinSpan):
    """A stage of a request: `with Stage("fuse") as stage: …`, then `stage.seconds` is how long it took."""

    __slots__ = ("_started", "seconds")

    def __init__(self, name: str) -> None:
        parent = _current.get()
        super().__init__(None if parent is None else parent.child(name))
        self.seconds = 0.0
        self._started = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.seconds = perf_counter() - self._started
        super().__exit__(kind, error, traceback)


class ClientRequest(WithinSpan):
    """A request to another service: `with ClientRequest("POST", base, target) as request: …`.

    `headers` are those that carry the trace on, "" for a header to leave out; none if there is no trace. The query of
    `target` may hold words of a caller and is not told. `template` returns the path's name for all requests of a kind,
    "" for none; it is only called if there is a trace.
    """

    __slots__ = ("headers",)

    def __init__(self, method: str, base: object, target: str, template: Callable[[], str] = lambda: "") -> None:
        parent, span = _current.get(), None
        self.headers: Mapping[str, str] = {}
        if parent is not None:
            name, attributes = f"{method} {template()}".rstrip(), _request_attributes(method, str(base), target)
            span = parent.child(name, attributes, is_client=True)
            self.headers = span.carrier()
        super().__init__(span)


def _request_attributes(method: str, base: str, target: str) -> dict[str, Value]:
    """Return the attributes of a request, without an account or a query: HTTP's semantic conventions."""
    parts, path = urlsplit(base), target.partition("?")[0]
    told: dict[str, Value] = {
        "http.request.method": method,
        "server.address": parts.hostname or "",
        "url.full": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{path}"[:_LONGEST_URL],
    }
    return told | ({"server.port": parts.port} if parts.port else {})


def tell(attributes: Mapping[str, Value]) -> None:
    """Set attributes of the span that the request has now, if it is traced."""
    if (span := _current.get()) is not None:
        span.tell(attributes)


def tell_stage(name: str, started: float, ended: float, attributes: Mapping[str, Value] | None = None) -> None:
    """Add a stage that another process timed; times are those of `time.perf_counter` here."""
    if (span := _current.get()) is not None:
        span.child(name, attributes, started=started).end(ended=ended)
