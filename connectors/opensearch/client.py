"""Bytes in, bytes out through a user's own opensearch-py client, which stays as it is. Retried are reads alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from opensearchpy import ConnectionError as NoConnection
from opensearchpy import ConnectionTimeout, OpenSearch, SSLError, TransportError

from connectors.opensearch.refusal import refusal
from connectors.opensearch.verbatim import is_asynchronous, twin_of, verbatim_twin_of
from sidecar.errors import ConfigurationError, EngineError, EngineUnreachable

if TYPE_CHECKING:
    from opensearchpy import AsyncOpenSearch  # there with aiohttp alone

TIMEOUT = 30.0
# What opensearch-py takes as arguments of a call and never writes into the URL.
NEVER_IN_URL = {"api_key", "http_auth", "ignore", "opaque_id", "request_timeout", "timeout"}


@dataclass(frozen=True, slots=True)
class Call:
    """A search, or several of them (`multi`), as it is sent.

    `params` are the URL's, except `NEVER_IN_URL`: `request_timeout` and `timeout` (seconds), `ignore` (statuses that
    are no errors), `http_auth`, `api_key` and `opaque_id`.
    """

    index: str | None
    body: bytes
    params: Mapping[str, Any]
    headers: Mapping[str, str]
    multi: bool = False


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
    """Send one search and return the bytes of the answer. Raises an `EngineError`."""
    return send(client, Call(index, body, params, headers))


def send(client: OpenSearch, call: Call) -> bytes:
    """Send what is to be sent and return the bytes of the answer. Raises an `EngineError`."""
    if is_asynchronous(client):
        raise ConfigurationError("the client is asynchronous.", remedy="Give it to an AsyncRerankingClient.")
    try:
        answer = _begun(client, call)
    except TransportError as error:
        raise engine_error(client, error) from error
    return _bytes(answer)


async def send_async(client: AsyncOpenSearch, call: Call) -> bytes:
    """As `send`, through an asynchronous client."""
    if not is_asynchronous(client):
        raise ConfigurationError("the client is synchronous.", remedy="Give it to a RerankingClient.")
    try:
        answer = await _begun(client, call)
    except TransportError as error:
        raise engine_error(client, error) from error
    return _bytes(answer)


def _begun(client: Any, call: Call) -> Any:
    """Call the client's own method: the answer's text, or what is to be awaited for it."""
    twin = verbatim_twin_of(client)
    own = {key: value for key, value in call.params.items() if key in NEVER_IN_URL}
    url = {key: value for key, value in call.params.items() if key not in NEVER_IN_URL}
    if call.multi:
        # opensearch-py refuses an empty body, and ends any other with a new line if it lacks one.
        return twin.msearch(index=call.index, body=call.body or b"\n", params=url, headers=dict(call.headers), **own)
    return twin.search(index=call.index, body=call.body or None, params=url, headers=dict(call.headers), **own)


def _bytes(text: object) -> bytes:
    return str(text).encode("utf-8", "surrogatepass")


def for_writing(client: OpenSearch) -> OpenSearch:
    """Copy a client for requests that are not repeated after a failure; the copy shares its connections."""
    twin: OpenSearch = twin_of(client)
    twin.transport.max_retries = 0
    return twin


def engine_error(client: OpenSearch | AsyncOpenSearch, error: TransportError) -> EngineError:
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
