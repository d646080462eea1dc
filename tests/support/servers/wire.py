"""HTTP/1.1 as bytes on a plain socket: requests no library would send."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit


def talk(url, *parts, pause=0.1, wait=5.0):
    """Send the parts one after the other, and return what came until nothing more did or the connection closed."""
    at = urlsplit(url)
    received = b""
    with socket.create_connection((at.hostname, at.port), timeout=wait) as connection:
        try:
            for number, part in enumerate(parts):
                if number:
                    time.sleep(pause)
                    received += arrived(connection, wait)  # a reset would take it away
                connection.sendall(part)
            while part := connection.recv(65536):
                received += part
                connection.settimeout(0.5)
        except TimeoutError:
            return received, "open"
        except (BrokenPipeError, ConnectionResetError):  # the other side closed before it read all
            pass
        return received, "closed"


def arrived(connection, wait):
    """Return what has arrived on a connection, without waiting for more; later calls wait up to `wait` seconds."""
    connection.setblocking(False)
    try:
        return connection.recv(65536)
    except BlockingIOError:
        return b""
    finally:
        connection.settimeout(wait)


def request(path, body, *headers, method=b"POST"):
    head = [b"%s %s HTTP/1.1" % (method, path), b"Host: x", b"Content-Type: application/json", *headers]
    return b"\r\n".join([*head, b"Content-Length: %d" % len(body), b"", b""]) + body


def chunked(path, body, *headers):
    head = [b"POST %s HTTP/1.1" % path, b"Host: x", b"Content-Type: application/json", *headers]
    half = len(body) // 2
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:half], body[half:]))
    return b"\r\n".join([*head, b"Transfer-Encoding: chunked", b"", b""]) + pieces + b"0\r\n\r\n"


def raw(url, data, wait=2.0):
    """Send the data, and return what came until the connection closed or nothing more did for `wait` seconds."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=wait) as connection:
        connection.sendall(data)
        received = b""
        try:
            while part := connection.recv(65536):
                received += part
        except TimeoutError:
            pass
        return received
