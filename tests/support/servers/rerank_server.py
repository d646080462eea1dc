"""A rerank server on loopback, and a search pipeline of OpenSearch's own that asks it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Answering(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.queries.append(asked["query"])
        self.server.documents.append(asked["documents"])
        self.server.asked.append(asked)
        # The longest is the best. A short decimal: OpenSearch can't read some others.
        scores = [round(len(text) / 1000, 3) for text in asked["documents"]]
        results = [{"index": i, "relevance_score": score} for i, score in enumerate(scores)]
        answer = json.dumps({"results": results}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class RerankServer(ThreadingHTTPServer):
    """Answers in Cohere's form, and keeps what it was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Answering)
        self.queries, self.documents, self.asked = [], [], []


@contextmanager
def rerank_server() -> Iterator[RerankServer]:
    with RerankServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def rerank_pipeline(ask: Callable[..., Any], server: RerankServer) -> dict[str, Any]:
    """Register that server as a model; return the search pipeline that reranks by it."""
    arguments = ("documents", "query", "model", "top_n")
    quoted = {"query", "model"}
    members = [
        f'"{name}": ' + ('"${parameters.%s}"' if name in quoted else "${parameters.%s}") % name for name in arguments
    ]
    action = {
        "action_type": "predict",
        "method": "POST",
        "url": f"http://127.0.0.1:{server.server_address[1]}/v1/rerank",
        "headers": {"Authorization": "Bearer ${credential.key}"},
        "request_body": "{" + ", ".join(members) + "}",
        "pre_process_function": "connector.pre_process.cohere.rerank",
        "post_process_function": "connector.post_process.cohere.rerank",
    }
    made = {"name": "n", "description": "d", "version": "1", "protocol": "http", "parameters": {"model": "m"}}
    made |= {"credential": {"key": "none"}, "actions": [action]}
    connector = ask("POST", "_plugins/_ml/connectors/_create", made)["connector_id"]
    model = {"name": "n", "function_name": "remote", "description": "d", "connector_id": connector}
    registered = ask("POST", "_plugins/_ml/models/_register?deploy=true", model)["model_id"]
    deadline = time.monotonic() + 60
    while ask("GET", f"_plugins/_ml/models/{registered}")["model_state"] != "DEPLOYED":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    processor = {"ml_opensearch": {"model_id": registered}, "context": {"document_fields": ["text"]}}
    return {"response_processors": [{"rerank": processor}]}
