"""Says why a node did not answer, without its URL, which may hold a password. No I/O."""

from __future__ import annotations

import os
import ssl

import aiohttp

from sidecar.serving.proxy.upstream_connection import Dropped

# The first that an error is one of.
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "its host name is not known"),
    (aiohttp.ClientSSLError, "it speaks no TLS, or none that we do"),
    (aiohttp.ServerDisconnectedError, "it closed the connection before its answer"),
    (aiohttp.ClientPayloadError, "it closed the connection before the end of its answer"),
    (aiohttp.ClientResponseError, "its answer is no HTTP"),
)


def failure_of(error: aiohttp.ClientError) -> str:
    """Name the reason why a node did not answer."""
    if isinstance(error, Dropped) and isinstance(error.__cause__, aiohttp.ClientError):
        return failure_of(error.__cause__)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        found = error.certificate_error
        said = found.verify_message if isinstance(found, ssl.SSLCertVerificationError) else type(found).__name__
        return f"its certificate is not trusted: {said}"
    words = next((words for kind, words in _WORDS if isinstance(error, kind)), None)
    if words is None and isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return words or type(error).__name__
