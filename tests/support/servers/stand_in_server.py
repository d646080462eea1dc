"""A server that answers what it is told: for what a real one can't be brought to say."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class StandIn(ThreadingHTTPServer):
    """Gives its answers one after the other, the last one for ever; keeps what it was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answering)
        self.answers = []
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def will_answer(self, *answers):
        self.answers = list(answers)
        return self


class Answering(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        answers = self.server.answers
        status, body, seconds = answers.pop(0) if len(answers) > 1 else answers[0]
        time.sleep(seconds)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "0")
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:9/")
        self.end_headers()
        with suppress(BrokenPipeError):  # who asked may have left
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def says(body, status=200, seconds=0):
    return status, body if isinstance(body, bytes) else json.dumps(body).encode(), seconds


@contextmanager
def standing_in():
    server = StandIn()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
