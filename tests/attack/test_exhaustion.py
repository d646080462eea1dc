"""Nobody keeps the others waiting: large, slow, unfinished, unread and invented, all of it at once."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.attack.cluster import LARGE, SHARED
from tests.support.attack.honest_callers import HonestCallers
from tests.support.attack.raw_requests import Attempt, head
from tests.support.attack.scale import SCALE, SEED
from tests.support.servers.served import ask
from tests.support.servers.service_process import address_of, serving

pytestmark = [pytest.mark.live, pytest.mark.attack]

SECONDS = 3 if SCALE == 1 else 20
ELSEWHERE = "127.0.0.2"  # the address of those who attack
JSON = ("Content-Type", "application/json")


@pytest.fixture
def service(cluster, tmp_path):
    with serving(tmp_path, **cluster.settings) as running:
        yield running


def posted(target, body, account, *more):
    headers = [("Host", "x"), JSON, ("Authorization", account.authorization), *more, ("Content-Length", len(body))]
    return Attempt([head("POST", target, headers), body], pause=0, wait=20)


def clauses(count):
    return json.dumps({"query": {"bool": {"should": [{"term": {"n": 1}}] * count}}, "ext": {"rerank": {}}}).encode()


def large_bodies(account):
    """Bodies of few bytes or of many that take long to read; OpenSearch itself refuses all but the second one.

    What it would take for millions of searches is its own affair; larger ones meet a stub in `test_event_loop.py`.
    """
    packed = ("Content-Encoding", "gzip")
    index = account.index
    searches = b'{}\n{"query":{"match":{"text":"fox"}},"ext":{"rerank":{}}}\n' * 1000
    lists = [b'{"query":{"match":{"text":"fox"}},"ext":{"rerank":{"document_fields":[', b'"x",' * 900_000, b'"x"]}}}']
    return [
        posted(f"/{index}/_search", gzip.compress(clauses(150_000)), account, packed),
        posted(f"/{index}/_msearch", searches, account),
        posted(f"/{index}/_msearch", gzip.compress(searches * 10 + b"{\n"), account, packed),
        posted(f"/{index}/_search", b'{"a":' * 200_000 + b"1" + b"}" * 200_000, account),
        posted(f"/{index}/_search", b"[" * 5_000_000, account),
        posted(f"/{index}/_search", b'{"ext":{"rerank":{}},"x":"' + b"\\u00e9" * 1_500_000 + b'"}', account),
        posted(f"/{index}/_search", b'{"ext":{"rerank":{}},"x":[' + b"1e5," * 2_000_000 + b"1]}", account),
        posted(f"/{index}/_search", b"".join(lists), account),
        posted(f"/{index}/_msearch", b"{}\n" * 50_000 + b"{\n", account),
    ]


def test_no_body_blocks_the_others(service, cluster, attacked):
    chance = random.Random(f"{SEED}-bodies")
    kinds = large_bodies(cluster.accounts["mallory"])
    attempts = chance.choices(kinds, k=len(kinds) * (SCALE - 1) // 2) + kinds
    attacked("bodies that take long to read", service, attempts, held="health answered all the while")


def test_large_lists_to_rank_block_nobody(service, cluster, report):
    documents = ["word " * 4] * 200_000
    body = json.dumps({"query": "fox", "documents": documents, "return_documents": True}).encode()
    count = 4 * SCALE
    with HonestCallers(service, cluster.accounts) as honest, ThreadPoolExecutor(4) as pool:
        sent = pool.map(lambda _: ask(service.api_url, "POST", "/v1/rerank", body, dict([JSON])), range(count))
        statuses = {answer.status for answer in sent}
    honest.check()
    assert statuses == {413}
    report.add("lists of 200,000 documents", count, honest, "health answered all the while")


@contextlib.contextmanager
def connections(address, count, sent, *, receive_buffer=None):
    """Open connections and send the same on each, one of `sent` after the other; they read nothing."""
    with contextlib.ExitStack() as stack:
        opened = []
        for number in range(count):
            connection = stack.enter_context(socket.socket())
            if receive_buffer:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            connection.settimeout(10)
            connection.bind((ELSEWHERE, 0))
            connection.connect(address)
            with contextlib.suppress(OSError):
                connection.sendall(sent[number % len(sent)])
            opened.append(connection)
        yield opened


def test_callers_who_do_not_read_hold_nobody_up(service, cluster, report):
    mallory = cluster.accounts["mallory"]
    asked = head("GET", f"/{LARGE}/_search?size=10", [("Host", "x"), ("Authorization", mallory.authorization)])
    count = 300
    with connections(service.address, count, [asked], receive_buffer=4096):
        time.sleep(1)
        others = {name: one for name, one in cluster.accounts.items() if name != "mallory"}
        with HonestCallers(service, others) as honest:
            time.sleep(SECONDS)
    honest.check()
    report.add(
        "answers that nobody reads", count, honest, f"the others' searches in {honest.slowest_answer:.1f} s at most"
    )


def trickle(opened, ended):
    """Send a byte now and then, so that no connection is idle."""
    while not ended.wait(0.5):
        for connection in opened:
            with contextlib.suppress(OSError):
                connection.sendall(b" ")


def test_bodies_that_never_end_hold_nobody_up(service, cluster, report):
    mallory = cluster.accounts["mallory"]
    to_search = [("Host", "x"), JSON, ("Authorization", mallory.authorization)]
    begun = head("POST", "/public/_search", [*to_search, ("Content-Length", 10_000_000)]) + b" " * 2_000_000
    chunked = (
        head("POST", "/public/_search", [*to_search, ("Transfer-Encoding", "chunked")])
        + b"ffffff\r\n "
        + b" " * 100_000
    )
    ranking = head("POST", "/v1/rerank", [("Host", "x"), JSON, ("Content-Length", 10_000)]) + b'{"query": "fox", "docu'
    before = service.megabytes
    ended = threading.Event()
    with (
        connections(service.address, 90, [begun, begun, chunked]) as searching,
        connections(address_of(service.api_url), 90, [ranking]) as ranked,
    ):
        sending = threading.Thread(target=trickle, args=([*searching, *ranked], ended))
        sending.start()
        others = {name: one for name, one in cluster.accounts.items() if name != "mallory"}
        with HonestCallers(service, others) as honest:
            answers = [rerank(service, f"fox {turn}") for turn in range(SECONDS * 2) if not time.sleep(0.5)]
        grown = service.megabytes - before
        ended.set()
        sending.join()
    honest.check(answers=30, answer=5.0)
    assert {answer.status for answer in answers} == {200}
    assert grown < 300
    report.add("bodies that never end", 180, honest, f"the others were served; {grown:.0f} MB")


def rerank(service, query, source=None, **headers):
    body = json.dumps({"query": query, "documents": [f"score {i}" for i in range(10)]})
    connection = http.client.HTTPConnection(*address_of(service.api_url), timeout=30, source_address=source)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/rerank", body, {**dict([JSON]), **headers})
        answer = connection.getresponse()
        answer.read()
        return answer


def test_invented_names_take_no_turns_from_others(cluster, report, tmp_path):
    """Ten documents of 20 ms each, under ever new names from one address, beside one who searches from another."""
    with serving(tmp_path, scorer=(), **cluster.settings | {"budget_ms": 3000}) as running:
        ended, sent = threading.Event(), []

        def flood(number):
            while not ended.is_set():
                name = f"Bearer {number}-{len(sent)}"
                with contextlib.suppress(OSError, http.client.HTTPException):
                    sent.append(rerank(running, "fox sleep 20", (ELSEWHERE, 0), Authorization=name).status)

        threads = [threading.Thread(target=flood, args=(number,)) for number in range(30)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        ada, outcomes = cluster.accounts["ada"], []
        body = {
            "query": {"match": {"text": "fox"}},
            "ext": {"rerank": {"window": 10, "query_context": {"query_text": "f sleep 20"}}},
        }
        for turn in range(8):
            body["ext"]["rerank"]["query_context"]["query_text"] = f"f{turn} sleep 20"
            headers = {"Authorization": ada.authorization, **dict([JSON])}
            answer = ask(running.url, "POST", f"/{ada.index}/_search", json.dumps(body).encode(), headers)
            outcomes.append(answer.headers["x-rerank-status"])
        ended.set()
        for thread in threads:
            thread.join()
    assert outcomes.count("applied") >= 6, outcomes
    report.add("invented names", len(sent), None, f"{outcomes.count('applied')} of 8 honest searches applied")


def odd_request(chance):
    word = "".join(chance.choices("abcdefghij", k=8))
    content = chance.choice([f"a {word} b/c", f"application/{word}", f"{word}/json", f"text/{word}; x=json"])
    method = chance.choice(["POST", "GET", "POST", word.upper(), "PUT"])
    target = chance.choice(
        [f"/{word}/_search", "/public/_search", f"/public/_search?{word}", f"/_{word}", f"/_sidecar/{word}"]
    )
    model = {"query": {"match": {"text": word}}, "ext": {"rerank": {"model": word} if chance.random() < 0.3 else {}}}
    headers = [
        ("Host", word),
        ("Content-Type", content),
        ("X-Opaque-Id", word),
        ("Content-Encoding", chance.choice(["", "", word])),
    ]
    body = json.dumps(model).encode()
    return Attempt([head(method, target, [*headers, ("Content-Length", len(body))]) + body], wait=2)


def test_no_request_makes_up_metrics(service, cluster, attacked, report):
    def count():
        return len(service.series())

    def made(part):
        return [odd_request(random.Random(f"{SEED}-metrics-{part}-{number}")) for number in range(150 * SCALE)]

    attacked("labels of metrics, warming up", service, made("first"))
    before = count()
    attacked("labels of metrics", service, made("second"))
    assert count() - before < 60


def test_out_of_file_descriptors_it_writes_little_and_serves_again(cluster, report, tmp_path):
    with serving(tmp_path, open_files=150, **cluster.settings) as running:
        before = running.log.stat().st_size
        with connections(running.address, 300, [b"GET / HTTP/1.1\r\nX:"]):
            time.sleep(SECONDS)
        written = running.log.stat().st_size - before
        deadline = time.monotonic() + 20
        while not running.is_ready:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        ada = cluster.accounts["ada"]
        headers = {"Authorization": ada.authorization}
        assert ask(running.url, "GET", f"/{SHARED}/_search", headers=headers).status == 200
    assert written < 100_000 * SECONDS
    report.add("connections beyond the open files", 300, None, f"{written / 1000:.0f} kB of log in {SECONDS} s")
