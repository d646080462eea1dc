"""Checks a running service from outside, with nothing but Python: `smoke.py URL [API_URL]`.

It makes an index of its own through the service, searches it, asks the rerank API, and removes the index again, so it
can be run as often as you like, in front of data that matters too. Exit status 0 if all of it is as documented, 1 with
what is not, 2 for a wrong call. A key of the service's is taken from SIDECAR_API_KEY, a login for OpenSearch from the
URL (https://user:password@host).
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import ssl
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

PASSAGES = Path(__file__).parent / "sample" / "passages.jsonl"
QUERY = "how do I get my data back when a disk broke"
API_QUESTION = "how long do fleas live"
API_PASSAGES = ["Dogs bark at night.", "A flea lives for about 100 days.", "The moon is far away."]


class Wrong(Exception):
    """Something is not as documented; the message says what was expected and what came."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The decoded body. Raises `Wrong` where it is no JSON."""
        try:
            return json.loads(self.text)
        except ValueError:
            raise Wrong(f"expected JSON, got {self.text[:200]!r}") from None


class Server:
    """One end to talk to, with the headers that open it."""

    def __init__(self, url: str, headers: dict[str, str], ca: str | None) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        self.scheme, self.host, self.path = parts.scheme, parts.hostname or "", parts.path.rstrip("/")
        self.port = parts.port
        self.headers = dict(headers)
        self.tls = ssl.create_default_context(cafile=ca) if parts.scheme == "https" else None
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self.headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send one request; a body that is no text goes as JSON. Raises `OSError` where nobody answers."""
        sent = {"Content-Type": "application/json", **self.headers, **headers}
        text = body if isinstance(body, str) or body is None else json.dumps(body)
        if self.tls is not None:
            line: http.client.HTTPConnection = http.client.HTTPSConnection(
                self.host, self.port, timeout=90, context=self.tls
            )
        else:
            line = http.client.HTTPConnection(self.host, self.port, timeout=90)
        try:
            line.request(method, self.path + path, None if text is None else text.encode(), sent)
            got = line.getresponse()
            named = {name.lower(): value for name, value in got.getheaders()}
            return Answer(got.status, named, got.read().decode("utf-8", "replace"))
        finally:
            line.close()


def expect(what: str, got: object, *wanted: object) -> None:
    """Raise `Wrong` unless it is one of what is wanted."""
    if got not in wanted:
        raise Wrong(f"{what}: expected {' or '.join(map(repr, wanted))}, got {got!r}")


def hits(answer: Answer) -> list[dict[str, Any]]:
    """The hits of a search that succeeded."""
    expect("status of a search", answer.status, 200)
    found: list[dict[str, Any]] = answer.json["hits"]["hits"]
    return found


def names(answer: Answer) -> list[str]:
    """The ids of the hits, best first."""
    return [hit["_id"] for hit in hits(answer)]


class Smoke:
    """The checks, in order; `index` is made, filled, searched and removed. `keyed` says whether there is a key."""

    def __init__(self, service: Server, api: Server, writer: Server, *, keyed: bool) -> None:
        self.service, self.api, self.writer, self.keyed = service, api, writer, keyed
        self.index = f"sidecar-smoke-{uuid.uuid4().hex[:12]}"

    def search(self, *, rerank: bool, **more: Any) -> Answer:
        """Search the index for `QUERY`."""
        return self.service.ask("POST", f"/{self.index}/_search", self.body(rerank=rerank, **more))

    def body(self, *, rerank: bool, **more: Any) -> dict[str, Any]:
        """Write that search."""
        asked = {"ext": {"rerank": {"timeout_ms": 60_000}}} if rerank else {}
        match = {"multi_match": {"query": QUERY, "fields": ["title", "text"]}}
        return {"query": match, "size": 10, **asked, **more}

    def health(self) -> str:
        """Live, ready, and metrics behind the key."""
        expect("live", self.service.ask("GET", "/_sidecar/health/live").json, {"status": "live"})
        expect("ready", self.service.ask("GET", "/_sidecar/health/ready").json.get("status"), "ready")
        metrics = self.service.ask("GET", "/_sidecar/metrics")
        expect("status of the metrics", metrics.status, 200)
        if "sidecar_requests_total" not in metrics.text:
            raise Wrong("the metrics have no sidecar_requests_total")
        if self.keyed:
            for server, path in ((self.service, "/_sidecar/metrics"), (self.api, "/v1/models")):
                closed = server.ask("GET", path, **{"X-Sidecar-Api-Key": "wrong"})
                expect(f"status of {path} with a wrong key", closed.status, 401)
        return "live, ready, metrics" + (", and closed without the key" if self.keyed else "")

    def pass_through(self) -> str:
        """Check that searches that are not reranked are OpenSearch's own."""
        root = self.service.ask("GET", "/")
        expect("status of GET /", root.status, 200)
        found = root.json["version"]
        health = self.service.ask("GET", "/_cluster/health").json
        expect("cluster status", health.get("status"), "green", "yellow")
        return f"{found.get('distribution', 'elasticsearch')} {found['number']}, {health['status']}"

    def load(self) -> str:
        """Make the index and fill it, in bulk."""
        made = self.writer.ask("PUT", f"/{self.index}", {"settings": {"number_of_shards": 1, "number_of_replicas": 0}})
        if made.status == http.HTTPStatus.FORBIDDEN and self.writer is self.service:
            raise Wrong(f"it may not write ({made.text[:200]}); name OpenSearch itself with --opensearch URL")
        expect("status of making an index", made.status, 200)
        lines = []
        for text in PASSAGES.read_text(encoding="utf-8").splitlines():
            passage = json.loads(text)
            lines += [json.dumps({"index": {"_id": passage.pop("_id")}}), json.dumps(passage)]
        loaded = self.writer.ask("POST", f"/{self.index}/_bulk?refresh=true", "\n".join(lines) + "\n").json
        expect("errors in bulk", loaded.get("errors"), False)
        return f"{len(loaded['items'])} passages into {self.index}"

    def reranked(self) -> str:
        """The same documents in another order, scores falling, and a search that does not ask left alone."""
        plain, better = self.search(rerank=False, size=100), self.search(rerank=True, size=100)
        before, after = names(plain), names(better)
        expect("X-Rerank-Status of a search that does not ask", plain.headers.get("x-rerank-status"), None)
        label = f"X-Rerank-Status ({better.headers.get('x-rerank-reason', 'no reason given')})"
        expect(label, better.headers.get("x-rerank-status"), "applied")
        expect("documents found", sorted(after), sorted(before))
        if after == before:
            raise Wrong("reranking changed nothing of the order")
        scores = [hit["_score"] for hit in hits(better)]
        expect("scores from the top down", scores, sorted(scores, reverse=True))
        expect("total", better.json["hits"]["total"], plain.json["hits"]["total"])
        best = hits(better)[0]
        return f"{best['_source']['title']!r} from {before.index(best['_id']) + 1} to 1 of {len(after)}"

    def pages(self) -> str:
        """Page 2 is the next slice of the same list."""
        whole = names(self.search(rerank=True, size=10))
        first, second = (names(self.search(rerank=True, size=5, **{"from": start})) for start in (0, 5))
        expect("page 1 and page 2", first + second, whole)
        return "page 2 continues page 1"

    def several(self) -> str:
        """In one `_msearch`, each search has its own way."""
        header = json.dumps({"index": self.index})
        searches = [self.body(rerank=False), self.body(rerank=True)]
        lines = [line for body in searches for line in (header, json.dumps(body))]
        answer = self.service.ask("POST", "/_msearch", "\n".join(lines) + "\n")
        expect("status of _msearch", answer.status, 200)
        plain, better = ([hit["_id"] for hit in one["hits"]["hits"]] for one in answer.json["responses"])
        expect("the search that does not ask", plain, names(self.search(rerank=False)))
        expect("the search that asks", better, names(self.search(rerank=True)))
        return "two searches, one of them reranked"

    def errors(self) -> str:
        """Errors have OpenSearch's shape, whoever they come from."""
        wrong = self.service.ask("POST", f"/{self.index}/_search", {"ext": {"rerank": {"window": "wide"}}})
        absent = self.service.ask("POST", f"/{self.index}-absent/_search", self.body(rerank=True))
        for what, answer, status in (("a malformed ext.rerank", wrong, 400), ("an absent index", absent, 404)):
            expect(f"status of {what}", answer.status, status)
            expect(f"status in the body of {what}", answer.json["status"], status)
            expect(f"root cause of {what}", bool(answer.json["error"]["root_cause"]), True)
        return "400 for a malformed request, 404 for an absent index"

    def rerank_api(self) -> str:
        """The best passage first, as Cohere and TEI have it, and their errors."""
        asked = {"query": API_QUESTION, "documents": API_PASSAGES}
        for path in ("/v2/rerank", "/v1/rerank", "/cohere/v2/rerank"):
            answer = self.api.ask("POST", path, {**asked, "top_n": 2})
            expect(f"status of {path}", answer.status, 200)
            results = answer.json["results"]
            expect(f"best passage of {path}", results[0]["index"], 1)
            expect(f"results of {path}", len(results), 2)
        texts = {"query": API_QUESTION, "texts": API_PASSAGES}
        for path in ("/rerank", "/tei/rerank"):
            answer = self.api.ask("POST", path, texts)
            expect(f"status of {path}", answer.status, 200)
            scores = [one["score"] for one in answer.json]
            expect(f"best passage of {path}", answer.json[0]["index"], 1)
            expect(f"scores of {path}", scores, sorted(scores, reverse=True))
        empty = self.api.ask("POST", "/cohere/v2/rerank", {**asked, "documents": []})
        expect("status and fields of Cohere's error", (empty.status, list(empty.json)), (400, ["message"]))
        empty = self.api.ask("POST", "/tei/rerank", {**texts, "texts": []})
        expect("status and fields of TEI's error", (empty.status, set(empty.json)), (400, {"error", "error_type"}))
        return "Cohere's and TEI's shapes, in errors too"

    def run(self) -> bool:
        """Check everything that can be checked; print a line each, and tell whether all went well."""
        fine = [attempt(check) for check in (self.health, self.pass_through, self.rerank_api, self.load)]
        if fine[-1]:
            fine += [attempt(check) for check in (self.reranked, self.pages, self.several, self.errors)]
        return attempt(self.clean_up) and all(fine)

    def clean_up(self) -> str:
        """Remove the index, if it was made."""
        gone = self.writer.ask("DELETE", f"/{self.index}?ignore_unavailable=true")
        expect("status of removing the index", gone.status, 200, 403)
        return f"{self.index} is gone"


def attempt(check: Callable[[], str]) -> bool:
    """Run one check and print its line."""
    name = check.__name__.replace("_", " ")
    try:
        print(f"ok    {name}: {check()}", flush=True)
    except (Wrong, OSError, http.client.HTTPException, LookupError, TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
        print(f"WRONG {name}: {reason}", flush=True)
        return False
    return True


def wait_until_ready(service: Server, seconds: float) -> bool:
    """Wait until a model answers; print why not if none does in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = service.ask("GET", "/_sidecar/health/ready")
            said = f"{answer.status} {answer.text[:200]}"
            if answer.status == http.HTTPStatus.OK:
                return True
        except (OSError, http.client.HTTPException) as error:
            said = str(error)
        if time.monotonic() > deadline:
            print(f"WRONG it was not ready within {seconds:g} s: {said}")
            return False
        time.sleep(0.5)


def main() -> int:
    """Read the command line and check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", help="the service's OpenSearch port, http://localhost:9280")
    parser.add_argument("api_url", nargs="?", help="its rerank API; by default port 9281 of the same host")
    parser.add_argument("--wait", type=float, default=10, help="seconds to wait until it is ready (10)")
    parser.add_argument("--opensearch", help="where to write the index, if the service lets only searches pass")
    parser.add_argument("--ca", help="file with the authority that signed the certificates")
    asked = parser.parse_args()
    key = os.environ.get("SIDECAR_API_KEY", "")
    opening = {"X-Sidecar-Api-Key": key} if key else {}
    service = Server(asked.url, opening, asked.ca)
    host = f"[{service.host}]" if ":" in service.host else service.host
    api = Server(asked.api_url or f"{service.scheme}://{host}:9281", opening, asked.ca)
    writer = Server(asked.opensearch, {}, asked.ca) if asked.opensearch else service
    if not wait_until_ready(service, asked.wait):
        return 1
    fine = Smoke(service, api, writer, keyed=bool(key)).run()
    print("all fine" if fine else "not all is fine")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
