"""Requests as bytes over plain sockets, in one piece or several, and what came back."""

from __future__ import annotations

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True)
class Attempt:
    """The bytes of one connection; between the pieces is a pause.

    `wait` is how many seconds without a byte are awaited; `framed_twice` says that the body has two different ends.
    """

    pieces: list[bytes]
    pause: float = 0.03
    wait: float = 1.0
    framed_twice: bool = False


def sent(address, attempt):
    """Send an attempt over a connection of its own, and return all that came back."""
    received = b""
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=10) as connection:
        for number, piece in enumerate(attempt.pieces):
            if number:
                time.sleep(attempt.pause)
            connection.sendall(piece)
        connection.settimeout(attempt.wait)
        while part := connection.recv(65536):
            received += part
            # What is awaited after a first answer is one that nobody asked for.
            if received != CONTINUE:
                connection.settimeout(min(attempt.wait, 0.05))
    return received


def sent_all(address, attempts, workers=6):
    """Send attempts over several connections at a time; returns pairs of attempt and answer."""
    with ThreadPoolExecutor(workers) as pool:
        return list(zip(attempts, pool.map(lambda one: sent(address, one), attempts), strict=True))


def head(method, target, headers=(), version="1.1"):
    """Write a request's head; headers are pairs of bytes or text."""
    lines = [f"{method} {target} HTTP/{version}".encode()]
    for name, value in headers:
        lines.append(as_bytes(name) + b": " + as_bytes(value))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def as_bytes(value):
    return value if isinstance(value, bytes) else str(value).encode("latin-1", "replace")


def chunked(body, sizes=()):
    """Frame a body in chunks of these sizes, and what is left in one."""
    parts, at = [], 0
    for size in (*sizes, len(body)):
        part = body[at : at + size]
        at += size
        if part:
            parts.append(b"%x\r\n%s\r\n" % (len(part), part))
    return b"".join(parts) + b"0\r\n\r\n"


def words(text):
    """Split a list that is written as text."""
    return text.split()
