"""A rerank server of a named dialect that scores a passage by the number in it, or answers what a test tells it to."""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LISTINGS = {
    "sidecar": ("/v1/models", "rerank-sidecar"),
    "vllm": ("/v1/models", "vllm"),
    "infinity": ("/models", "infinity"),
    "openai": ("/v1/models", "vllm"),
}


class RemoteStub(ThreadingHTTPServer):
    """Answers in `dialect`. `faults` are used up one at a time: a function of the request that returns (status,
    headers, body), or None to close the connection. `asked` holds (path, headers, body) of each POST.
    """

    request_queue_size = 128

    def __init__(self, dialect, *, model="stub", batch=1000, seconds=0.0, info=None, port=0):
        super().__init__(("127.0.0.1", port), _Handler)
        self.dialect, self.model, self.batch, self.seconds, self.info = dialect, model, batch, seconds, info
        self.faults = []
        self.asked = []
        self.most_at_once = self._now = 0
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def enter(self, change):
        with self._lock:
            self._now += change
            self.most_at_once = max(self.most_at_once, self._now)

    def next_fault(self):
        with self._lock:
            return self.faults.pop(0) if self.faults else None

    def answer(self, path, body):
        """The right answer: scores in another order than the passages."""
        texts = body.get("texts") or body.get("text_2") or body.get("documents") or body.get("passages")
        texts = [text if isinstance(text, str) else text["text"] for text in texts]
        if len(texts) > self.batch:
            return 422, {"error": f"batch size {len(texts)} > maximum allowed batch size {self.batch}"}
        scores = sorted(enumerate(number_of(text) for text in texts), key=lambda one: -one[1])
        shapes = {
            "/score": ("data", "score"),
            "/v1/ranking": ("rankings", "logit"),
        }
        if "texts" in body:
            return 200, [{"index": index, "score": score} for index, score in scores]
        listed, valued = shapes.get(path, ("data" if self.dialect == "voyage" else "results", "relevance_score"))
        return 200, {listed: [{"index": index, valued: score} for index, score in scores]}


def number_of(text):
    """The score of a passage: the number in it."""
    return float(re.search(r"-?\d+(\.\d+)?", text)[0])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        path, owner = LISTINGS.get(server.dialect, (None, None))
        if server.dialect == "tei" and self.path == "/info":
            told = {"model_id": server.model, "model_sha": "1", "max_client_batch_size": server.batch}
            self._send(200, {}, json.dumps(told).encode())
        elif self.path == path:
            entry = {"id": server.model, "object": "model", "owned_by": owner}
            if server.info is not None:
                entry["sidecar"] = server.info
            self._send(200, {}, json.dumps({"object": "list", "data": [entry]}).encode())
        else:
            self._send(404, {}, b"not found")

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        server.enter(1)
        try:
            fault = server.next_fault()
            if fault is not None:
                answer = fault(body)
                if answer is None:
                    self.close_connection = True
                    return
                self._send(*answer)
                return
            if server.seconds:
                time.sleep(server.seconds)
            status, answer = server.answer(self.path, body)
            self._send(status, {}, json.dumps(answer).encode())
        finally:
            server.enter(-1)

    def _send(self, status, headers, body):
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), "content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):  # who asked may have left
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def remote_stub(dialect, *, kind=RemoteStub, **options):
    """Serve a stub until the block ends."""
    server = kind(dialect, **options)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
