"""Several HTTP listeners in one event loop that start and end together."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Sequence

import uvicorn

from sidecar.core.errors import ConfigurationError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Listener(uvicorn.Server):
    """An HTTP server that does not handle signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle no signals: each server of a process would replace the previous one's handlers."""
        yield


def reserve(host: str, port: int) -> socket.socket:
    """Reserve an address without serving yet; port 0 takes a free port.

    Raises `ConfigurationError` if the address can't be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(f"{host} is not an address to listen on: {error.strerror}.") from None
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
    except OSError as error:
        found.close()
        message = f"can't listen on {host}:{port}: {error.strerror}."
        raise ConfigurationError(message, remedy="Choose other ports with --port and --api-port.") from None
    return found


async def serve_together(
    listeners: Sequence[tuple[Listener, socket.socket]], reload: Callable[[], None] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM, or until one of them ends; then finish the requests in progress on all of them.

    A second signal ends them at once. SIGHUP calls `reload`, if there is something to reload.
    """

    def stop() -> None:
        for listener, _ in listeners:
            listener.force_exit = listener.should_exit
            listener.should_exit = True

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        tasks = [asyncio.create_task(listener.serve(sockets=[opened])) for listener, opened in listeners]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for listener, _ in listeners:
            listener.should_exit = True
        await asyncio.gather(*tasks)
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        loop.remove_signal_handler(signal.SIGHUP)
        for _, opened in listeners:
            opened.close()
