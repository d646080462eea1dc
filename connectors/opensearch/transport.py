"""Sends bytes through a user's own opensearch-py client, which stays as it is, and returns bytes.

Only reads are retried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opensearchpy import ConnectionError as NoConnection
from opensearchpy import ConnectionTimeout, OpenSearch, SSLError, TransportError
from opensearchpy.client.utils import query_params

from connectors.opensearch.auth import Access, client_options
from connectors.opensearch.errors import rejection
from connectors.opensearch.native_errors import as_native
from connectors.opensearch.raw_transport import is_asynchronous, single_try_client_of, verbatim_client_of
from sidecar.core.errors import ConfigurationError, EngineError, EngineUnreachable

if TYPE_CHECKING:
    from opensearchpy import AsyncOpenSearch  # there with aiohttp alone

TIMEOUT = 30.0
RETRIES = 3
# Arguments of an opensearch-py call that are never written into the URL.
NEVER_IN_URL = {"api_key", "http_auth", "ignore", "opaque_id", "request_timeout", "timeout"}


@dataclass(frozen=True, slots=True)
class Call:
    """A search, or several of them (`multi`), as it is sent; or a GET of `path`, where there is one.

    `params` are the URL's, except `NEVER_IN_URL`: `request_timeout` and `timeout` (seconds), `ignore` (statuses that
    are no errors), `http_auth`, `api_key` and `opaque_id`.
    """

    index: str | None
    body: bytes
    params: Mapping[str, Any]
    headers: Mapping[str, str]
    multi: bool = False
    path: str | None = None


def connect(url: str, access: Access | None = None, *, timeout: float = TIMEOUT, retries: int = RETRIES) -> OpenSearch:
    """Make a client for one node, or for several with commas between; nothing is sent yet.

    `timeout` is in seconds and for each request. A read that found no connection, or a busy node, is sent again up to
    `retries` times, to another node where there is one. Raises `ConfigurationError` as `client_options` does.
    """
    return OpenSearch(**client_options(url, access or Access()), timeout=timeout, max_retries=retries)


def search(
    client: OpenSearch, index: str | None, body: bytes, params: Mapping[str, Any], headers: Mapping[str, str]
) -> bytes:
    """Send one search and return the bytes of the answer. Raises an `EngineError`."""
    return send(client, Call(index, body, params, headers))


def send(client: OpenSearch, call: Call) -> bytes:
    """Send a call and return the bytes of the answer. Raises an `EngineError`."""
    if is_asynchronous(client):
        raise ConfigurationError("the client is asynchronous.", remedy="Give it to an AsyncRerankingClient.")
    try:
        answer = _called(client, call)
    except TransportError as error:
        raise engine_error(client, error) from error
    return _bytes(answer)


async def send_async(client: AsyncOpenSearch, call: Call) -> bytes:
    """As `send`, through an asynchronous client."""
    if not is_asynchronous(client):
        raise ConfigurationError("the client is synchronous.", remedy="Give it to a RerankingClient.")
    try:
        answer = await _called(client, call)
    except TransportError as error:
        raise engine_error(client, error) from error
    return _bytes(answer)


def _called(client: Any, call: Call) -> Any:
    """Call the client's own method; return the answer's text, or an awaitable of it."""
    raw = verbatim_client_of(client)
    own = {key: value for key, value in call.params.items() if key in NEVER_IN_URL}
    url = {key: value for key, value in call.params.items() if key not in NEVER_IN_URL}
    if call.path is not None:
        own.pop("ignore", None)
        return _get(raw, path=call.path, headers=dict(call.headers), **own)
    if call.multi:
        # opensearch-py refuses an empty body, and ends any other with a new line if it lacks one.
        return raw.msearch(index=call.index, body=call.body or b"\n", params=url, headers=dict(call.headers), **own)
    return raw.search(index=call.index, body=call.body or None, params=url, headers=dict(call.headers), **own)


@query_params()  # turns accounts, time-outs and trace ids of a call into headers and options, as for a search
def _get(raw: Any, *, path: str, params: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
    return raw.transport.perform_request("GET", path, params=params, headers=headers)


def _bytes(text: object) -> bytes:
    return str(text).encode("utf-8", "surrogatepass")


def for_writing(client: OpenSearch) -> OpenSearch:
    """Copy a client for requests that are sent once; the copy shares its connections.

    A node that took no connection got nothing, so another is tried.
    """
    raw: OpenSearch = single_try_client_of(client)
    raw.transport.retry_on_status, raw.transport.retry_on_timeout = (), False
    return raw


def engine_error(client: OpenSearch | AsyncOpenSearch, error: TransportError) -> EngineError:
    """Make one of our errors of what opensearch-py raised; its message holds no credentials.

    The result is of opensearch-py's class, too: the one that the client would have raised to its own caller.
    """
    # The copy of a client that keeps an error's bytes keeps opensearch-py's own error beside them.
    theirs = error.info if isinstance(error.info, TransportError) else error
    return as_native(_ours(client, error), theirs)


def _ours(client: OpenSearch | AsyncOpenSearch, error: TransportError) -> EngineError:
    # The pool no longer holds a node that was given up.
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
    return rejection(error.status_code, str(error.error))
