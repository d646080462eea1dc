"""Bytes in, bytes out through a user's own opensearch-py client, which stays as it is.

opensearch-py decodes every answer and keeps no status; here its transport (connection pool, retries, sniffing,
authentication, signing) is used with an answer's bytes and status kept. Retried are reads alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec
from opensearchpy import ConnectionError as NoConnection
from opensearchpy import ConnectionTimeout, OpenSearch, SSLError, TransportError
from opensearchpy.client.utils import query_params
from opensearchpy.serializer import JSONSerializer
from urllib3.exceptions import NewConnectionError

from connectors.opensearch.access import Access, client_options
from sidecar.errors import ConfigurationError, EngineError, EngineRejected, EngineUnreachable, IndexNotFound

TIMEOUT = 30.0
RETRIES = 3
# What opensearch-py takes as arguments of a call and never writes into the URL.
NEVER_IN_URL = {"api_key", "http_auth", "ignore", "opaque_id", "request_timeout", "timeout"}
_REMEDIES = {
    401: "Give the right user name and password (in the URL: https://user:password@host:9200), token or certificate.",
    403: "Ask for the permission, or use an account that has it.",
    429: "The cluster is overloaded: wait, or ask for a smaller window.",
}


class MissingIndex(EngineRejected, IndexNotFound):
    """OpenSearch has no such index; its status and answer are kept."""


class _Answered(TransportError):
    """OpenSearch answered with an error: the arguments are its status and its own text."""


def connect(url: str, access: Access | None = None, *, timeout: float = TIMEOUT, retries: int = RETRIES) -> OpenSearch:
    """Make a client for one node, or for several with commas between; nothing is sent yet.

    `timeout` is in seconds and for each request. A read that found no connection, or a busy node, is sent again up to
    `retries` times, to another node where there is one. Raises `ConfigurationError` as `client_options` does.
    """
    return OpenSearch(**client_options(url, access or Access()), timeout=timeout, max_retries=retries)


def search(
    client: OpenSearch, index: str | None, body: bytes, params: Mapping[str, Any], headers: Mapping[str, str]
) -> bytes:
    """Send a search and return the bytes of the answer. Raises an `EngineError`.

    `params` are the URL's, except `NEVER_IN_URL`: `request_timeout` and `timeout` (seconds),
    `ignore` (statuses that are no errors), `http_auth`, `api_key` and `opaque_id`.
    """
    own = {key: value for key, value in params.items() if key in NEVER_IN_URL}
    url = {key: value for key, value in params.items() if key not in NEVER_IN_URL}
    return _sent(
        client,
        lambda twin: twin.search(index=index, body=body or None, params=url, headers=dict(headers), **own),
    )


def read(client: OpenSearch, path: str, params: Mapping[str, Any], headers: Mapping[str, str]) -> bytes:
    """GET a path beside a search and return the bytes of the answer; of `params` only the `NEVER_IN_URL` ones count.

    Raises an `EngineError`.
    """
    own = {key: value for key, value in params.items() if key in NEVER_IN_URL and key != "ignore"}
    return _sent(client, lambda twin: _get(twin, path=path, headers=dict(headers), **own))


def _sent(client: OpenSearch, ask: Callable[[Any], Any]) -> bytes:
    twin = _twin(client)
    twin.transport.serializer, twin.transport.deserializer = _Verbatim(), _Verbatim()
    try:
        answer = ask(twin)
    except TransportError as error:
        raise engine_error(client, error) from error
    return str(answer).encode("utf-8", "surrogatepass")


@query_params()  # turns accounts, time-outs and trace ids of a call into headers and options, as for a search
def _get(twin: Any, *, path: str, params: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
    return twin.transport.perform_request("GET", path, params=params, headers=headers)


def for_writing(client: OpenSearch) -> OpenSearch:
    """Copy a client for requests that are sent once; the copy shares its connections.

    A node that took no connection got nothing, so another is tried.
    """
    twin: OpenSearch = _twin(client, _Once)
    twin.transport.retry_on_status, twin.transport.retry_on_timeout = (), False
    return twin


def engine_error(client: OpenSearch, error: TransportError) -> EngineError:
    """Say in our words what opensearch-py raised; credentials are in none of them."""
    # A node that was given up is in the pool no more.
    hosts = ", ".join(str(connection.host) for connection in client.transport.seed_connections)
    if isinstance(error, ConnectionTimeout):
        return EngineUnreachable(
            f"OpenSearch at {hosts} did not answer in time.", remedy="Give it more time (timeout), or look at its load."
        )
    if isinstance(error, SSLError):
        unknown = "CERTIFICATE_VERIFY_FAILED" in str(error.error)
        return EngineUnreachable(
            f"no secure connection to OpenSearch at {hosts}: {error.error}",
            remedy="Name the CA that signs its certificate (ca_certs, SIDECAR_OPENSEARCH_CA_CERTS), and the host as "
            "the certificate has it."
            if unknown
            else "Does it speak TLS on this port, and does it want a client certificate?",
        )
    if isinstance(error, NoConnection) or not isinstance(error.status_code, int):
        return EngineUnreachable(
            f"no connection to OpenSearch at {hosts}: {error.error}", remedy="Is it running, and is the URL right?"
        )
    return _rejected(error.status_code, str(error.error))


def _rejected(status: int, text: str) -> EngineRejected:
    kind, reason = _cause(text)
    message = f"OpenSearch answered {status}: {reason}"
    body = text.encode("utf-8", "surrogatepass")
    if status == 404 and kind == "index_not_found_exception":
        return MissingIndex(message, status=status, body=body, remedy="Create the index, or name another one.")
    return EngineRejected(message, status=status, body=body, remedy=_REMEDIES.get(status, ""))


class _Error(msgspec.Struct):
    type: str = ""
    reason: str | None = None
    root_cause: list[_Error] = []


class _ErrorBody(msgspec.Struct):
    error: _Error | str


def _cause(text: str) -> tuple[str, str]:
    """Type and reason of an error's root cause; a text that is not OpenSearch's JSON is its own reason."""
    try:
        error = msgspec.json.decode(text, type=_ErrorBody).error
    except (msgspec.DecodeError, UnicodeEncodeError):
        return "", text.strip()[:500] or "nothing"
    if isinstance(error, str):
        return "", error
    root = error.root_cause[0] if error.root_cause else error
    return root.type, root.reason or root.type


def _twin(client: OpenSearch, line: type[_Line] | None = None) -> Any:
    """Copy a client with a transport that keeps an error's bytes and status; connections are shared."""
    if not isinstance(client, OpenSearch):
        raise ConfigurationError(
            f"the client is a {type(client).__name__}.", remedy="Give an opensearchpy.OpenSearch, the synchronous one."
        )
    twin: Any = copy.copy(client)
    twin.transport = copy.copy(client.transport)
    pool = _Pool(client.transport, line or _Line)
    twin.transport.get_connection = pool.get_connection
    twin.transport.mark_dead = pool.mark_dead
    twin.transport.connection_pool = pool
    return twin


class _Verbatim(JSONSerializer):
    """Hands text through both ways; it stands in for opensearch-py's serializer and its deserializer."""

    def dumps(self, data: Any) -> Any:
        return data

    def loads(self, s: str, mimetype: str | None = None) -> Any:  # noqa: ARG002 -- the deserializer's signature
        return s


class _Pool:
    """The user's connections, each dressed as `_Line`; sniffing and dead nodes stay his transport's business."""

    def __init__(self, transport: Any, line: type[_Line]) -> None:
        self.transport = transport
        self.line = line

    def get_connection(self) -> _Line:
        return self.line(self.transport.get_connection())

    def mark_dead(self, line: _Line) -> None:
        self.transport.mark_dead(line.connection)

    def mark_live(self, line: _Line) -> None:
        self.transport.connection_pool.mark_live(line.connection)


class _Line:
    """A connection that raises an error answer whole, where opensearch-py would keep only what it parsed of it."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def perform_request(self, *args: Any, ignore: Collection[int] = (), **options: Any) -> Any:
        status, headers, data = self.connection.perform_request(*args, ignore=range(300, 600), **options)
        if not 200 <= status < 300 and status not in ignore:
            raise _Answered(status, data, None)
        return status, headers, data


class _Once(_Line):
    """A connection whose failures are final once something was sent, for it may have been done."""

    def perform_request(self, *args: Any, **options: Any) -> Any:
        try:
            return super().perform_request(*args, **options)
        except NoConnection as error:
            if isinstance(error, ConnectionTimeout) or isinstance(error.info, NewConnectionError):
                raise
            raise TransportError("N/A", error.error, error.info) from error
