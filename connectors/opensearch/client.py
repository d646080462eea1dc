"""Bytes in, bytes out through a user's own opensearch-py client, which stays as it is.

opensearch-py decodes every answer and keeps no status; here its transport (connection pool, retries, sniffing,
authentication, signing) is used with an answer's bytes and status kept. Retried are reads alone.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from opensearchpy import ConnectionError as NoConnection
from opensearchpy import ConnectionTimeout, OpenSearch, SSLError, TransportError
from opensearchpy.serializer import JSONSerializer

from connectors.opensearch.refusal import refusal
from sidecar.errors import ConfigurationError, EngineError, EngineUnreachable

TIMEOUT = 30.0
# What opensearch-py takes as arguments of a call and never writes into the URL.
NEVER_IN_URL = {"api_key", "http_auth", "ignore", "opaque_id", "request_timeout", "timeout"}


class _Answered(TransportError):
    """OpenSearch answered with an error: the arguments are its status and its own text."""


def connect(  # noqa: PLR0913  each is a setting of its own, by keyword
    url: str,
    *,
    user: str | None = None,
    password: str | None = None,
    timeout: float = TIMEOUT,
    verify_certs: bool = True,
    ca_certs: str | None = None,
) -> OpenSearch:
    """Make a client from a URL, which may hold a user name and password itself; nothing is sent yet.

    `timeout` is in seconds and for each request. Raises `ConfigurationError` for what is no http(s) URL, without
    repeating it, for it may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(
            "the OpenSearch URL can't be read.",
            remedy="Write it like http://localhost:9200 or https://user:password@host:9200.",
        )
    secure = parts.scheme == "https"
    host = {"host": parts.hostname, "port": port or (443 if secure else 80), "use_ssl": secure}
    if parts.path.strip("/"):
        host["url_prefix"] = parts.path
    account = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    if user is not None:
        account = (user, password or "")
    options: dict[str, Any] = (
        {"verify_certs": verify_certs, "ca_certs": ca_certs, "ssl_show_warn": False} if secure else {}
    )
    return OpenSearch([host], http_auth=account, timeout=timeout, **options)


def search(
    client: OpenSearch, index: str | None, body: bytes, params: Mapping[str, Any], headers: Mapping[str, str]
) -> bytes:
    """Send a search and return the bytes of the answer. Raises an `EngineError`.

    `params` are the URL's, except `NEVER_IN_URL`: `request_timeout` and `timeout` (seconds),
    `ignore` (statuses that are no errors), `http_auth`, `api_key` and `opaque_id`.
    """
    twin = _twin(client)
    twin.transport.serializer, twin.transport.deserializer = _Verbatim(), _Verbatim()
    own = {key: value for key, value in params.items() if key in NEVER_IN_URL}
    url = {key: value for key, value in params.items() if key not in NEVER_IN_URL}
    try:
        answer = twin.search(index=index, body=body or None, params=url, headers=dict(headers), **own)
    except TransportError as error:
        raise engine_error(client, error) from error
    return str(answer).encode("utf-8", "surrogatepass")


def for_writing(client: OpenSearch) -> OpenSearch:
    """Copy a client for requests that are not repeated after a failure; the copy shares its connections."""
    twin: OpenSearch = _twin(client)
    twin.transport.max_retries = 0
    return twin


def engine_error(client: OpenSearch, error: TransportError) -> EngineError:
    """Say in our words what opensearch-py raised; credentials are in none of them."""
    hosts = ", ".join(str(connection.host) for connection in client.transport.connection_pool.connections)
    if isinstance(error, ConnectionTimeout):
        return EngineUnreachable(
            f"OpenSearch at {hosts} did not answer in time.", remedy="Give it more time (timeout), or look at its load."
        )
    if isinstance(error, SSLError):
        return EngineUnreachable(
            f"no secure connection to OpenSearch at {hosts}: {error.error}", remedy="Name its certificate (ca_certs)."
        )
    if isinstance(error, NoConnection) or not isinstance(error.status_code, int):
        return EngineUnreachable(
            f"no connection to OpenSearch at {hosts}: {error.error}", remedy="Is it running, and is the URL right?"
        )
    return refusal(error.status_code, str(error.error))


def _twin(client: OpenSearch) -> Any:
    """Copy a client with a transport that keeps an error's bytes and status; connections are shared."""
    if not isinstance(client, OpenSearch):
        raise ConfigurationError(
            f"the client is a {type(client).__name__}.", remedy="Give an opensearchpy.OpenSearch, the synchronous one."
        )
    twin: Any = copy.copy(client)
    twin.transport = copy.copy(client.transport)
    pool = _Pool(client.transport)
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

    def __init__(self, transport: Any) -> None:
        self.transport = transport

    def get_connection(self) -> _Line:
        return _Line(self.transport.get_connection())

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
