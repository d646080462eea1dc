"""An OpenSearch on loopback that gives the answers it was told, for clients that speak HTTP themselves."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

JSON = "application/json; charset=UTF-8"
FINE = (200, JSON, b'{"took":1,"n":0.10,"u":"\\u00e9 \xc3\xa9","hits":{"total":0,"max_score":null,"hits":[]}}')
# A search, and the window that the connector asks for in its place.
MATCH = b'{"query":{"match":{"text":"fox"}},"size":2}'
WINDOW = b'{"query":{"match":{"text":"fox"}},"size":100,"from":0}'


class CannedOpenSearch(ThreadingHTTPServer):
    """Gives the answers it was told, the last one for ever, and keeps the requests."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Answering)
        self.answers, self.requests, self.delay = [FINE], [], 0.0
        self.url = f"http://ada:s3cret@127.0.0.1:{self.server_address[1]}"


class _Answering(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.path, dict(self.headers), body))
        time.sleep(self.server.delay)
        answers = self.server.answers
        status, kind, text = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass
