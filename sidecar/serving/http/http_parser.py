"""An HTTP/1.1 request parser that ignores offers to change the protocol (`Upgrade: h2c`, `websocket`)."""

from __future__ import annotations

from typing import Protocol

import httptools


class Offered(Protocol):
    """The connection that gets the parser's events, besides httptools' own callbacks."""

    def head_without_upgrade(self) -> bytes:
        """Return the head that was just parsed, as bytes, without the offer."""
        ...


class Http11Parser:
    """Parses with httptools, which takes all data after an offer to upgrade for the other protocol.

    The server may ignore the offer (RFC 9110, section 7.8), and then a body follows as in any other request. So the
    head is parsed again without the offer, by a new parser that continues with the rest. The connection must ignore
    `on_headers_complete` and `on_message_complete` while `should_upgrade()` is True.
    """

    def __init__(self, connection: Offered) -> None:
        self._connection = connection
        self._parser = self._new()

    def feed_data(self, data: bytes) -> None:
        """Parse the data. Raises `httptools.HttpParserError`."""
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
        """True if the last parsed head offers to upgrade."""
        return self._parser.should_upgrade()

    def should_keep_alive(self) -> bool:
        """True if the client expects to send another request on the connection."""
        return self._parser.should_keep_alive()

    def get_method(self) -> bytes:
        """Return the method of the request."""
        return self._parser.get_method()

    def get_http_version(self) -> str:
        """Return the version of the request, such as "1.1"."""
        return self._parser.get_http_version()

    def _new(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self._connection)
        # As in uvicorn: data after `Connection: close` are no reason to refuse the request before them.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser
