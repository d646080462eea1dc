"""OpenSearch as the first stage of a comparison: the proxy's own search, with the caller's own credentials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

import msgspec

from connectors.opensearch import raw_json
from connectors.opensearch.flow.search_flow import NativeResponse, finish
from connectors.opensearch.respond import response
from connectors.opensearch.rewrite.field_plan import reading, unread_indexes
from connectors.opensearch.rewrite.index_fields import read
from connectors.opensearch.rewrite.match_body import match_body
from connectors.opensearch.rewrite.search_body import SearchBody
from sidecar.core.candidates import FirstStage, Passage, Ranking
from sidecar.core.documents import PassageFields
from sidecar.serving.http.asgi import Exchange
from sidecar.serving.http.headers import Headers, without
from sidecar.serving.http.held_bytes import Hold
from sidecar.serving.proxy.driving import FlowDriver
from sidecar.serving.proxy.forward import Forwarder
from sidecar.serving.proxy.messages import Request
from sidecar.serving.proxy.routes import Kind, passes, route
from sidecar.serving.proxy.search_request import SearchCall
from sidecar.serving.rerank_api.problem import Fault, Problem
from sidecar.serving.ui.first_stages import ComparedHit, Fetched, hits_of
from sidecar.serving.ui.index_names import TARGET, index_names
from sidecar.serving.ui.request import ComparisonRequest

# Between these tags the page marks text; everything else in a fragment is text.
_HIGHLIGHT = {"fields": {"*": {}}, "pre_tags": ["<em>"], "post_tags": ["</em>"]}
# Headers that describe the comparison's own body or connection, not the search.
_OWN = (b"content-length", b"content-type", b"content-encoding", b"accept-encoding", b"origin", b"referer", b"cookie")


class _Hit(msgspec.Struct, rename={"index": "_index", "docid": "_id", "score": "_score", "source": "_source"}):
    index: str = ""
    docid: str = ""
    score: float | None = None
    source: msgspec.Raw = msgspec.Raw(b"{}")
    fields: msgspec.Raw = msgspec.Raw(b"{}")
    highlight: dict[str, list[str]] = {}


class OpenSearchEngine:
    """Sends searches as the proxy does; `keys` are the sidecar's own, which never reach OpenSearch."""

    def __init__(self, proxy: Forwarder, keys: Sequence[str] = ()) -> None:
        self._proxy = proxy
        self._bearers = {key.encode() for key in keys}

    async def fetch(
        self, asked: ComparisonRequest, window: int, fields: PassageFields, exchange: Exchange, hold: Hold
    ) -> Fetched:
        """Run the search. Raises `Problem`, `EngineRejected`, `UpstreamDown`, `UpstreamSlow` or `AnswerTooLarge`."""
        call = self._call(asked, exchange, hold)
        if asked.query is not None:
            call = replace(call, body=SearchBody(await self._words(asked, window, fields, call)))
        upstream = self._proxy.upstream
        driver = FlowDriver(call, upstream)
        flow = upstream.cluster.search(
            call.index,
            call.body,
            driver.params,
            window=window,
            fields=fields,
            caller=driver.caller,
            fetch_phase="window",  # highlights of every hit are shown
        )
        first_stage = await driver.drive(flow)
        plan = first_stage.native.plan

        async def respond(ranking: Ranking | None) -> bytes:
            return await driver.drive(finish(first_stage, ranking or Ranking(first_stage.query, (), {})))

        return Fetched(
            query=first_stage.query,
            candidates=first_stage.candidates,
            hits=_hits(first_stage, fields),
            window=window if plan is None else plan.window,
            respond=respond,
            skipped=first_stage.skipped,
            warning=first_stage.native.warning,
            # OpenSearch has just answered in this caller's name.
            caller=call.caller.key(proved=upstream.checks_accounts),
            request={"path": call.path, "body": msgspec.Raw(call.body.forwarded)},
        )

    async def index_names(self, exchange: Exchange, hold: Hold) -> list[str]:
        """List what the caller may search; nothing if OpenSearch refuses the list to this caller.

        Raises `UpstreamDown`, `UpstreamSlow` or `AnswerTooLarge`.
        """
        path = TARGET.partition("?")[0]
        if not passes("GET", path.encode(), self._proxy.allowed):
            return []
        own = self._asked("GET", path, exchange)
        headers = without(self._proxy.headers(own), b"content-type")
        peer = self._proxy.peer_of(exchange)
        listing = Request("GET", TARGET, headers, is_read=True, peer=peer)
        reply = await self._proxy.upstream.fetch(listing, hold)
        return index_names(reply.body) if reply.status == 200 else []

    def _asked(self, method: str, path: str, exchange: Exchange) -> Exchange:
        """Return a request of the caller's for OpenSearch, in place of the one for this page."""
        headers = self._headers(exchange)
        return Exchange(method, path.encode(), b"", headers, exchange.peer, exchange.receive, exchange.send)

    def _call(self, asked: ComparisonRequest, exchange: Exchange, hold: Hold) -> SearchCall:
        """Return the search of a comparison, in the caller's name; its body is still empty for a query of words."""
        path = f"/{quote(asked.index, safe=',*')}/_search"
        found = route("POST", path.encode())
        if found.kind is not Kind.SEARCH or not found.index:
            raise Problem(Fault.INVALID, f"{asked.index[:80]!r} names no index", param="index")
        if not passes("POST", path.encode(), self._proxy.allowed):
            raise Problem(Fault.NOT_FOUND, "searches do not pass here (SIDECAR_PASS_THROUGH)")
        own = self._asked("POST", path, exchange)
        body = SearchBody(asked.search_body or b"")
        if asked.search_body is not None and not body.raw.startswith(b"{"):
            raise Problem(Fault.INVALID, "body is not a JSON object", param="body")
        headers = self._proxy.headers(own)
        return SearchCall("POST", path, "", headers, found.index, body, self._proxy.caller_of(own), found.kind, hold)

    def _headers(self, exchange: Exchange) -> Headers:
        """Return the caller's headers for a search: without the sidecar's key, and what belongs to the page."""
        kept = without(exchange.headers, *_OWN)
        scheme, _, token = exchange.header(b"authorization").partition(b" ")
        if scheme.lower() == b"bearer" and token.strip() in self._bearers:
            kept = without(kept, b"authorization")
        return [*kept, (b"content-type", b"application/json")]

    async def _words(self, asked: ComparisonRequest, window: int, fields: PassageFields, call: SearchCall) -> bytes:
        """Write the search for a query of words, as `sidecar search` does: in the text fields that the index has."""
        searched = fields
        if asked.document_fields is None:
            searched = await self._fields_in(call, fields)
        body = match_body(asked.query or "", searched, window) | {"highlight": _HIGHLIGHT}
        return msgspec.json.encode(body)

    async def _fields_in(self, call: SearchCall, fields: PassageFields) -> PassageFields:
        """Return the text fields to search an index by; those of the settings if its mapping can't be read."""
        headers = without(call.headers, b"content-type")
        path = f"{call.path.removesuffix('/_search')}/_mapping/field/*"
        reply = await self._proxy.upstream.fetch(Request("GET", path, headers, is_read=True, peer=call.peer), call.hold)
        found = read(reply.body) if reply.status == 200 else {}
        if not found:
            return fields
        lacking = unread_indexes(fields, found)
        plan = reading(fields, found, lacking, all_lack=len(lacking) == len(found))
        names = dict.fromkeys(name for one in (*plan.by_index.values(), fields) for name in one.text)
        return PassageFields(fields.title, tuple(names), fields.join)


def _hits(first_stage: FirstStage[NativeResponse], fields: PassageFields) -> list[ComparedHit]:
    """Return the hits of the window with their highlights; of a search that can't be reranked, those of its page."""
    answer = first_stage.native.answer
    if answer is not None:
        shown = zip(hits_of(first_stage.candidates), answer.found, strict=False)
        found = [(hit, _parsed(raw)) for hit, raw in shown]
        return [replace(hit, index=raw.index, highlight=raw.highlight) for hit, raw in found]
    try:
        hits = [_parsed(raw) for raw in response.read(first_stage.native.raw).found]
    except raw_json.Malformed:
        return []
    return [_unranked(rank, raw, fields) for rank, raw in enumerate(hits, start=1)]


def _parsed(raw: msgspec.Raw) -> _Hit:
    """Parse a hit; one of another shape has an empty id. A highlight of another shape is left out."""
    try:
        return msgspec.json.decode(raw_json.mended(bytes(raw)), type=_Hit)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Hit()


def _unranked(rank: int, hit: _Hit, fields: PassageFields) -> ComparedHit:
    try:
        read_passage = response.passage((hit.source, hit.fields), fields)
    except raw_json.Malformed:
        read_passage = Passage("", "")
    return ComparedHit(
        hit.docid, rank, hit.score, read_passage.title, read_passage.text, read_passage.fields, hit.index, hit.highlight
    )
