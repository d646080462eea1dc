"""A copy of a user's client that hands bytes through, both ways; his own stays as it is.

opensearch-py decodes every answer and keeps no status; in the copy an answer's text and status are kept. Connections,
retries, sniffing, authentication and signing stay those of the user's transport.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Collection
from typing import Any

from opensearchpy import ConnectionError as NoConnection
from opensearchpy import ConnectionTimeout, Transport, TransportError
from opensearchpy.serializer import JSONSerializer
from urllib3.exceptions import NewConnectionError

from sidecar.core.errors import ConfigurationError


class _Answered(TransportError):
    """OpenSearch answered with an error: the arguments are its status, its own text, and opensearch-py's error."""


def raw_client_of(client: Any) -> Any:
    """Copy a client with a transport that keeps an error's bytes and status; connections are shared.

    Takes a synchronous client or an asynchronous one. Raises `ConfigurationError` for anything else.
    """
    transport = getattr(client, "transport", None)
    if not isinstance(transport, Transport):
        raise ConfigurationError(
            f"the client is a {type(client).__name__}.", remedy="Give an opensearchpy.OpenSearch or AsyncOpenSearch."
        )
    twin = copy.copy(client)
    twin.transport = copy.copy(transport)
    asynchronous = is_asynchronous(client)
    _replace_transport(twin, transport, _AsyncRawTransport if asynchronous else _RawTransport)
    if asynchronous:
        # It makes the connections at the first call, and sniffs.
        twin.transport._async_call = transport._async_call  # type: ignore[attr-defined]  # noqa: SLF001
    return twin


def verbatim_client_of(client: Any) -> Any:
    """As `twin_of`; what is sent and what comes is text, and stays as it is."""
    twin = raw_client_of(client)
    twin.transport.serializer, twin.transport.deserializer = _Verbatim(), _Verbatim()
    return twin


def single_try_client_of(client: Any) -> Any:
    """As `twin_of`, for a synchronous client; a failure after something was sent is final."""
    twin = raw_client_of(client)
    _replace_transport(twin, client.transport, _Once)
    return twin


def _replace_transport(twin: Any, transport: Any, line: type[_RawTransport]) -> None:
    pool = _Pool(transport, line)
    twin.transport.get_connection = pool.get_connection
    twin.transport.mark_dead = pool.mark_dead
    twin.transport.connection_pool = pool


def is_asynchronous(client: Any) -> bool:
    """Tell whether a client's calls are to be awaited."""
    return inspect.iscoroutinefunction(getattr(getattr(client, "transport", None), "perform_request", None))


class _Verbatim(JSONSerializer):
    """Hands text through both ways; it stands in for opensearch-py's serializer and its deserializer."""

    def dumps(self, data: Any) -> Any:
        return data

    def loads(self, s: str, mimetype: str | None = None) -> Any:  # noqa: ARG002 -- the deserializer's signature
        return s


class _Pool:
    """The user's connections, each dressed as `_Line`; sniffing and dead nodes stay his transport's business."""

    def __init__(self, transport: Any, line: type[_RawTransport]) -> None:
        self.transport = transport
        self.line = line

    def get_connection(self) -> _RawTransport:
        return self.line(self.transport.get_connection())

    def mark_dead(self, line: _RawTransport) -> None:
        self.transport.mark_dead(line.connection)

    def mark_live(self, line: _RawTransport) -> None:
        self.transport.connection_pool.mark_live(line.connection)


class _RawTransport:
    """A connection that raises an error answer whole, where opensearch-py would keep only what it parsed of it."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def perform_request(self, *args: Any, ignore: Collection[int] = (), **options: Any) -> Any:
        answer = self.connection.perform_request(*args, ignore=range(300, 600), **options)
        return _fine(self.connection, answer, ignore)


class _Once(_RawTransport):
    """A connection whose failures are final once something was sent, for it may have been done."""

    def perform_request(self, *args: Any, **options: Any) -> Any:
        try:
            return super().perform_request(*args, **options)
        except NoConnection as error:
            if isinstance(error, ConnectionTimeout) or isinstance(error.info, NewConnectionError):
                raise
            raise TransportError("N/A", error.error, error.info) from error


class _AsyncRawTransport(_RawTransport):
    async def perform_request(self, *args: Any, ignore: Collection[int] = (), **options: Any) -> Any:
        answer = await self.connection.perform_request(*args, ignore=range(300, 600), **options)
        return _fine(self.connection, answer, ignore)


def _fine(connection: Any, answer: tuple[int, Any, str], ignore: Collection[int]) -> tuple[int, Any, str]:
    status, headers, text = answer
    if not 200 <= status < 300 and status not in ignore:
        raise _Answered(status, text, _theirs(connection, status, headers, text))
    return answer


def _theirs(connection: Any, status: int, headers: Any, text: str) -> TransportError | None:
    """The error that the user's own connection makes of an answer."""
    try:
        connection._raise_error(status, text, headers.get("content-type"))  # noqa: SLF001  opensearch-py's only way
    except TransportError as error:
        return error
    return None
