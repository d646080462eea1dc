"""An upstream that answers what it is told and keeps what it got, byte for byte: plain sockets, no HTTP library."""

from __future__ import annotations

import contextlib
import socket
import threading
import time


class Stub:
    """Answers each request with `answer`: bytes, or a function of the request's bytes to a list of (pause, bytes)."""

    def __init__(self, answer=b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"):
        self.answer = answer
        self.requests = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listening.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            while request := read_request(connection):
                self.requests.append(request)
                answer = self.answer(request) if callable(self.answer) else self.answer
                for pause, part in [(0, answer)] if isinstance(answer, bytes) else answer:
                    time.sleep(pause)
                    if part is None:
                        return
                    connection.sendall(part)


def read_request(connection):
    """One request as its bytes, its body after the framing it came in."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.recv(65536)
    elif b"content-length:" in lowered:
        length = int(lowered.partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
