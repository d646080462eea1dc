"""An index of the REST server of Pyserini 2.x or Anserini, as a first stage. No JVM.

The shapes are those of the server's own `openapi.yaml` (pyserini.server.rest, version v1).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, LocationValueError, NewConnectionError, ReadTimeoutError
from urllib3.util import Retry, Timeout, Url, make_headers, parse_url

from connectors.pyserini.hits import LuceneHit
from connectors.pyserini.index import check_query
from sidecar.core.errors import (
    ConfigurationError,
    EngineError,
    EngineRejected,
    EngineUnreachable,
    IndexNotFound,
    InputError,
    SidecarError,
)

Shape = TypeVar("Shape")

# Reading twice is harmless, so a request that a busy server or a proxy refuses is repeated.
_TRIES = Retry(
    total=2, status_forcelist=(429, 502, 503, 504), backoff_factor=0.2, raise_on_status=False, redirect=False
)
_SHOWN = 300


class _Candidate(msgspec.Struct):
    docid: str
    score: float
    doc: msgspec.Raw = msgspec.Raw(b"null")


class _Found(msgspec.Struct):
    candidates: list[_Candidate]


class _Document(msgspec.Struct):
    docid: str
    doc: msgspec.Raw = msgspec.Raw(b"null")


class PyseriniServer:
    """The index `index` of the server at `url`, searched by BM25: a `Searcher`, used like a `LuceneIndex`.

    `bm25` is k1 and b; None uses the server's own (Anserini's server ignores them). `api_key` is one
    of the server's; `timeout` is in seconds and holds for each of at most three tries. Nothing is sent yet. Raises
    ConfigurationError for an invalid URL. Searching is safe from several threads.
    """

    def __init__(
        self,
        url: str,
        index: str,
        *,
        bm25: tuple[float, float] | None = None,
        api_key: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        parsed = _parsed(url)
        self.name = index
        self._timeout = timeout
        self._url = Url(parsed.scheme, None, parsed.host, parsed.port, parsed.path).url.rstrip("/")
        self._bm25 = {} if bm25 is None else {"k1": bm25[0], "b": bm25[1]}
        headers = make_headers(basic_auth=parsed.auth) if parsed.auth else {}
        if api_key:
            headers["X-API-Key"] = api_key
        self._http = urllib3.PoolManager(maxsize=64, headers=headers, timeout=Timeout(timeout), retries=_TRIES)

    @property
    def source(self) -> str:
        """Return where the hits come from, for the records of a run."""
        return f"{self.name} at {self._url}"

    def search(self, query: str, k: int = 10) -> list[LuceneHit]:
        """Return the first `k` hits as the server has them, best first; Lucene's docids are unknown (-1).

        Raises InputError for a query that is empty or too long, IndexNotFound, EngineUnreachable, EngineRejected for
        any other refusal, and EngineError for an invalid answer.
        """
        check_query(query)
        asked = {"query": query, "hits": k, "parse": "true", **self._bm25}
        found = self._get(f"search?{urlencode(asked)}", _Found)
        return [_hit(one.docid, one.score, one.doc) for one in found.candidates]

    def batch_search(
        self, queries: Sequence[str], qids: Sequence[str], k: int = 10, threads: int = 1
    ) -> dict[str, list[LuceneHit]]:
        """Search for many queries, `threads` at a time; each qid's hits are those of `search`."""
        for query, qid in zip(queries, qids, strict=True):
            check_query(query, qid)
        with ThreadPoolExecutor(threads) as pool:
            return dict(zip(qids, pool.map(lambda query: self.search(query, k), queries), strict=True))

    def doc(self, docid: str) -> LuceneHit | None:
        """Return a document by its docid, with score 0; None if there is none. Raises what `search` raises."""
        try:
            found = self._get(f"doc/{quote(docid, safe='')}?parse=true", _Document)
        except EngineRejected as error:
            if error.status == 404:
                return None
            raise
        return _hit(found.docid, 0.0, found.doc)

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()

    def _get(self, asked: str, shape: type[Shape]) -> Shape:
        # A slash in a name has to be escaped: the index may be a path on the server.
        url = f"{self._url}/v1/{quote(self.name, safe='')}/{asked}"
        try:
            answer = self._http.request("GET", url)
        except HTTPError as error:
            raise EngineUnreachable(
                f"The Pyserini server at {self._url} can't be reached: {self._reason(error)}",
                remedy="Is it running (python -m pyserini.server.rest)? Check the port, and http or https.",
            ) from error
        if answer.status != 200:
            raise self._refusal(answer.status, answer.data)
        try:
            return msgspec.json.decode(answer.data, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EngineError(
                f"{self._url} answers, but not as a Pyserini server does: {error}",
                remedy="It takes Pyserini's (2.x) or Anserini's REST server with the version v1 of its API.",
            ) from error

    def _refusal(self, status: int, body: bytes) -> SidecarError:
        said = _message(body)
        if status in {400, 404} and said.startswith(("Unable to open index", "Index not configured", "Expected route")):
            return IndexNotFound(
                f"The Pyserini server at {self._url} has no index '{self.name}': {said}",
                remedy="Name one of its own, a directory on its machine, or a prebuilt index.",
            )
        if status in {414, 431}:
            return InputError("The query is too long for the Pyserini server's URLs.", remedy="Use a shorter query.")
        remedy = ""
        if status in {401, 403}:
            remedy = "Set SIDECAR_PYSERINI_API_KEY (api_key=…) to one of the server's keys."
        elif status >= 500:
            remedy = "The server's log says more. Anserini's server gives this answer for an unknown index, too."
        return EngineRejected(
            f"The Pyserini server at {self._url} refused (status {status}): {said or 'it does not say why'}",
            status=status,
            body=body,
            remedy=remedy,
        )

    def _reason(self, error: HTTPError) -> str:
        """Return the cause of the last try, without the connection's name that urllib3 puts in front of it."""
        cause = getattr(error, "reason", None) or error
        if isinstance(cause, ConnectTimeoutError | ReadTimeoutError) and not isinstance(cause, NewConnectionError):
            return f"no answer within {self._timeout:g} s."
        return str(cause).partition("): ")[2] or str(cause)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _parsed(url: str) -> Url:
    remedy = "Write it as http://host:8081."
    try:
        parsed = parse_url(url)
    except LocationValueError:
        raise ConfigurationError("The Pyserini server's URL is malformed.", remedy=remedy) from None
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.query or parsed.fragment:
        raise ConfigurationError("The Pyserini server's URL is not an http or https address.", remedy=remedy)
    return parsed


def _hit(docid: str, score: float, doc: msgspec.Raw) -> LuceneHit:
    """Return the document as text: the server has parsed it, and replaced an object by its only field's value."""
    sent = bytes(doc)
    if sent == b"null":
        return LuceneHit(docid, score, -1, None)
    text = msgspec.json.decode(sent, type=str) if sent.startswith(b'"') else sent.decode()
    return LuceneHit(docid, score, -1, text, sent_doc=sent)


def _message(body: bytes) -> str:
    try:
        said: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = None
    text = said.get("error") if isinstance(said, dict) else body.decode("utf-8", "replace")
    return " ".join(str(text).split())[:_SHOWN]
