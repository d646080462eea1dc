"""Copies of a user's client that pass bytes through, both ways; the user's own client stays as it is.

opensearch-py decodes every answer and keeps no status; the copy, a raw client, keeps an answer's text and status.
Connections, retries, sniffing, authentication and signing stay those of the user's transport.
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


class _ErrorAnswer(TransportError):
    """An error answer of OpenSearch: the arguments are its status, its own text, and opensearch-py's error."""


def raw_client_of(client: Any) -> Any:
    """Copy a client with a transport that keeps an error's bytes and status; connections are shared.

    Takes a synchronous client or an asynchronous one. Raises `ConfigurationError` for anything else.
    """
    transport = getattr(client, "transport", None)
    if not isinstance(transport, Transport):
        raise ConfigurationError(
            f"the client is a {type(client).__name__}.", remedy="Give an opensearchpy.OpenSearch or AsyncOpenSearch."
        )
    raw = copy.copy(client)
    raw.transport = copy.copy(transport)
    asynchronous = is_asynchronous(client)
    _replace_connections(raw, transport, _AsyncRawConnection if asynchronous else _RawConnection)
    if asynchronous:
        # It makes the connections at the first call, and sniffs.
        raw.transport._async_call = transport._async_call  # type: ignore[attr-defined]  # noqa: SLF001
    return raw


def verbatim_client_of(client: Any) -> Any:
    """As `raw_client_of`; bodies and answers are text, which is neither encoded nor decoded."""
    raw = raw_client_of(client)
    raw.transport.serializer, raw.transport.deserializer = _Verbatim(), _Verbatim()
    return raw


def single_try_client_of(client: Any) -> Any:
    """As `raw_client_of`, for a synchronous client; a failure after something was sent is final."""
    raw = raw_client_of(client)
    _replace_connections(raw, client.transport, _SingleTryConnection)
    return raw


def _replace_connections(raw: Any, transport: Any, kind: type[_RawConnection]) -> None:
    pool = _Pool(transport, kind)
    raw.transport.get_connection = pool.get_connection
    raw.transport.mark_dead = pool.mark_dead
    raw.transport.connection_pool = pool


def is_asynchronous(client: Any) -> bool:
    """Tell whether a client's calls are to be awaited."""
    return inspect.iscoroutinefunction(getattr(getattr(client, "transport", None), "perform_request", None))


class _Verbatim(JSONSerializer):
    """Passes text through both ways, in place of opensearch-py's serializer and its deserializer."""

    def dumps(self, data: Any) -> Any:
        return data

    def loads(self, s: str, mimetype: str | None = None) -> Any:  # noqa: ARG002 -- the deserializer's signature
        return s


class _Pool:
    """The user's connections, each wrapped as `kind`; the user's transport still sniffs and tracks dead nodes."""

    def __init__(self, transport: Any, kind: type[_RawConnection]) -> None:
        self.transport = transport
        self.kind = kind

    def get_connection(self) -> _RawConnection:
        return self.kind(self.transport.get_connection())

    def mark_dead(self, raw: _RawConnection) -> None:
        self.transport.mark_dead(raw.connection)

    def mark_live(self, raw: _RawConnection) -> None:
        self.transport.connection_pool.mark_live(raw.connection)


class _RawConnection:
    """A connection that raises an error answer with all its text; opensearch-py keeps only what it parsed."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def perform_request(self, *args: Any, ignore: Collection[int] = (), **options: Any) -> Any:
        answer = self.connection.perform_request(*args, ignore=range(300, 600), **options)
        return _fine(self.connection, answer, ignore)


class _SingleTryConnection(_RawConnection):
    """A connection whose failures are final once something was sent, because OpenSearch may have acted on it."""

    def perform_request(self, *args: Any, **options: Any) -> Any:
        try:
            return super().perform_request(*args, **options)
        except NoConnection as error:
            if isinstance(error, ConnectionTimeout) or isinstance(error.info, NewConnectionError):
                raise
            raise TransportError("N/A", error.error, error.info) from error


class _AsyncRawConnection(_RawConnection):
    async def perform_request(self, *args: Any, ignore: Collection[int] = (), **options: Any) -> Any:
        answer = await self.connection.perform_request(*args, ignore=range(300, 600), **options)
        return _fine(self.connection, answer, ignore)


def _fine(connection: Any, answer: tuple[int, Any, str], ignore: Collection[int]) -> tuple[int, Any, str]:
    status, headers, text = answer
    if not 200 <= status < 300 and status not in ignore:
        raise _ErrorAnswer(status, text, _theirs(connection, status, headers, text))
    return answer


def _theirs(connection: Any, status: int, headers: Any, text: str) -> TransportError | None:
    """Return the error that the user's own connection makes of an answer."""
    try:
        connection._raise_error(status, text, headers.get("content-type"))  # noqa: SLF001  opensearch-py's only way
    except TransportError as error:
        return error
    return None
