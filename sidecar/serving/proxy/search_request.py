"""A search as it came, read whole: from the body, the URL (`source`), or a template that OpenSearch renders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import msgspec

from connectors.opensearch import raw_json
from connectors.opensearch.rewrite.search_body import SearchBody, url_params
from sidecar.core.reasons import Reason, Why
from sidecar.serving.http import request_body
from sidecar.serving.http.asgi import Exchange, in_ascii
from sidecar.serving.http.callers import Caller
from sidecar.serving.http.headers import Headers, is_signed, json_type, media_type, without
from sidecar.serving.http.held_bytes import Hold
from sidecar.serving.http.off_loop import off_loop
from sidecar.serving.proxy.forward import Forwarder
from sidecar.serving.proxy.messages import Request
from sidecar.serving.proxy.routes import Kind, Route
from sidecar.serving.proxy.rules import search_identity
from sidecar.serving.proxy.upstream import AnswerTooLarge, Upstream

# Members of a search template that OpenSearch adds to the rendered search.
_ADDED = ("explain", "profile")


class NotRead(Exception):
    """A search that can't be read, and so passes unranked, for the reason `why`."""

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.why = Why(reason, words)


@dataclass(frozen=True, slots=True)
class SearchCall:
    """A search, or several, as called: `headers` are those for OpenSearch, `body` is decompressed.

    `hold` counts the bytes of its answers.
    """

    method: str
    path: str
    query: str
    headers: Headers
    index: str
    body: SearchBody
    caller: Caller
    kind: Kind = Kind.SEARCH
    hold: Hold | None = None

    @property
    def peer(self) -> str:
        """Return the network whose share of the connections to OpenSearch the search counts against."""
        return self.caller.network

    @property
    def identity(self) -> str:
        """A name that all pages of the search share and that reveals nothing of it."""
        return search_identity(self.index, self.body, self.query)

    def with_body(self, body: bytes) -> Request:
        """Return the request for this search's path with another body."""
        target = f"{self.path}?{self.query}" if self.query else self.path
        headers = without(self.headers, b"content-length", b"content-encoding")
        return Request(self.method, target, headers, body, is_read=True, peer=self.peer)


async def read_search(
    exchange: Exchange, found: Route, body: request_body.Body, proxy: Forwarder, hold: Hold
) -> SearchCall:
    """Read a search whole. Raises `NotRead` where it is too large or unreadable."""
    why = await body.read()
    if why is not None:
        raise NotRead(why.reason, why)
    try:
        encoding, limit = exchange.header(b"content-encoding"), proxy.body_limits.size
        plain = await off_loop(limit if encoding else 0, request_body.decompressed, body.prefix, encoding, limit)
    except (request_body.BodyUnreadable, request_body.BodyTooLarge):
        raise NotRead(Reason.BODY_UNREADABLE, "the body can't be decompressed within its limit") from None
    search = SearchCall(
        exchange.method,
        in_ascii(exchange.raw_path),
        in_ascii(exchange.query),
        proxy.headers(exchange),
        found.index,
        SearchBody(plain),
        proxy.caller_of(exchange),
        found.kind,
        hold,
    )
    return search if plain else _from_url(search)


def _from_url(search: SearchCall) -> SearchCall:
    """Take the body out of the URL, where OpenSearch takes it from there."""
    params = url_params(search.query)
    if "source" not in params or not is_json(params.get("source_content_type", "").encode()):
        return search
    body = params.pop("source").encode()
    del params["source_content_type"]
    headers = [*without(search.headers, b"content-type"), (b"content-type", json_type(search.headers))]
    return replace(search, query=urlencode(params), headers=headers, body=SearchBody(body))


def is_json(content_type: bytes) -> bool:
    """Tell whether a `Content-Type` is one of JSON."""
    return media_type(content_type).endswith(b"json")


async def rendered(search: SearchCall, upstream: Upstream) -> SearchCall:
    """Have OpenSearch render a search template, in the caller's name. Raises `NotRead` where it does not."""
    headers = without(search.headers, b"content-length", b"content-encoding", b"accept-encoding")
    headers.append((b"accept-encoding", b"identity"))
    request = Request("POST", "/_render/template", headers, search.body.raw, is_read=True, peer=search.peer)
    try:
        reply = await upstream.fetch(request, search.hold)
        made = raw_json.members(raw_json.escape_surrogates(reply.body)).get("template_output", b"")
        template = _template(search.body)
        body = raw_json.joined(raw_json.members(made) | {key: template[key] for key in _ADDED if key in template})
    except AnswerTooLarge as too_large:
        raise NotRead(Reason.ANSWER_TOO_LARGE, str(too_large)) from None
    except raw_json.Malformed:
        words = f"OpenSearch does not render its template alone (status {reply.status})"
        raise NotRead(Reason.TEMPLATE, words) from None
    path = search.path.rstrip("/").removesuffix("/template")
    return replace(search, path=path, body=SearchBody(raw_json.restore_surrogates(body)), kind=Kind.SEARCH)


def forwarded_template(body: SearchBody) -> bytes:
    """Take `ext.rerank` out of a template that is written out as an object; one that is a text stays."""
    try:
        template = _template(body)
    except raw_json.Malformed:
        return body.raw
    source = SearchBody(raw_json.restore_surrogates(bytes(template.get("source", b""))))
    if not source.raw.startswith(b"{") or not source.has_rerank:
        return body.raw
    kept = msgspec.Raw(raw_json.escape_surrogates(source.forwarded))
    return raw_json.restore_surrogates(raw_json.joined({**template, "source": kept}))


def _template(body: SearchBody) -> Mapping[str, msgspec.Raw]:
    """Parse a template. Raises `raw_json.Malformed`, for an empty body, too."""
    if not body.text.strip():
        raise raw_json.Malformed("there is no template")
    return body.members


def unwritable(exchange: Exchange) -> Why | None:
    """Say why a request can't be rewritten, whatever it requests; None if it can be."""
    if is_signed(exchange.headers):
        words = "the request is signed (AWS SigV4), and rewriting it would break the signature"
        return Why(Reason.SIGNED, words)
    content_type = exchange.header(b"content-type")
    if content_type and not is_json(content_type):
        kind = media_type(content_type).decode("latin-1")[:60]
        return Why(Reason.NOT_JSON, f"the body is {kind}, not JSON")
    return None
