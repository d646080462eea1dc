"""An HTTP/1.1 request parser that ignores offers to speak another protocol (`Upgrade: h2c`, `websocket`)."""

from __future__ import annotations

from typing import Protocol

import httptools


class Offered(Protocol):
    """The connection that the parser reports to, besides the callbacks that httptools knows."""

    def head_without_upgrade(self) -> bytes:
        """Return the head that was just parsed, as bytes, without the offer."""
        ...


class Http11Parser:
    """Parses with httptools, which takes whatever follows an offer to upgrade for the other protocol.

    The server may ignore the offer (RFC 9110, section 7.8), and then a body follows as in any other request. So the
    head is parsed once more without the offer, by a new parser that goes on with the rest. The connection must ignore
    `on_headers_complete` and `on_message_complete` while `should_upgrade()` holds.
    """

    def __init__(self, connection: Offered) -> None:
        self._connection = connection
        self._parser = self._new()

    def feed_data(self, data: bytes) -> None:
        """Parse what came. Raises `httptools.HttpParserError`."""
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                if self.get_method() == b"CONNECT":
                    raise httptools.HttpParserError("CONNECT asks for a tunnel") from None
                head = self._connection.head_without_upgrade()
                self._parser = self._new()
                self._parser.feed_data(head)
                data = data[offer.args[0] :]
            else:
                return

    def should_upgrade(self) -> bool:
        """Whether the head that was parsed last offers to upgrade."""
        return self._parser.should_upgrade()

    def should_keep_alive(self) -> bool:
        """Whether the client expects to send another request on the connection."""
        return self._parser.should_keep_alive()

    def get_method(self) -> bytes:
        """Return the method of the request."""
        return self._parser.get_method()

    def get_http_version(self) -> str:
        """Return the version of the request, such as "1.1"."""
        return self._parser.get_http_version()

    def _new(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self._connection)
        # As uvicorn has it: what follows `Connection: close` is no reason to refuse the request before it.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser
