"""The service's certificate, and the client certificates that it accepts; both can be reloaded."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

from sidecar.core.errors import ConfigurationError

_log = logging.getLogger("sidecar.service")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: a certificate with its chain, its key if that is in another file, and the authorities for clients'."""

    certificate: Path
    key: Path | None = None
    client_ca: Path | None = None


class ServerTls:
    """A TLS context for all listeners. Raises `ConfigurationError` if its files can't be used."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self.context = _loaded(files)

    def reload(self) -> None:
        """Read the files again for new connections; keep the previous ones if they can't be used.

        An authority that was removed from the clients' file is still accepted until the service restarts.
        """
        try:
            _loaded(self._files)  # checked first: half of a new pair must not replace a complete one
        except ConfigurationError as error:
            _log.error("the TLS files were not reloaded; the previous ones are still used: %s", error.message)
            return
        self.context.load_cert_chain(self._files.certificate, self._files.key)
        if self._files.client_ca is not None:
            self.context.load_verify_locations(self._files.client_ca)
        _log.info("the TLS files were reloaded")


def _loaded(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key with a passphrase would make OpenSSL ask for it at the terminal.
        context.load_cert_chain(files.certificate, files.key, password=_no_passphrase)
        if files.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(files.client_ca)
    except (OSError, ValueError) as error:
        named = ", ".join(str(path) for path in (files.certificate, files.key, files.client_ca) if path is not None)
        raise ConfigurationError(
            f"{named} can't be used for TLS: {error}.",
            remedy="tls_cert is a PEM certificate with its chain, tls_key its key without a passphrase.",
        ) from None
    return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")
