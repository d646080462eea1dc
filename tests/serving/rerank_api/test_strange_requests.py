"""Strangers' requests: every text is scored, every oddity answered, and what is written OpenSearch can read."""

from __future__ import annotations

import gzip
import json
import re
import socket

import pytest

from sidecar.scoring.score_mapping import Mapping
from sidecar.serving.rerank_api.relevance import plain

TEXTS = {
    "quotes": "say \"hi\" and 'bye'",
    "backslashes": "C:\\new\\table \\u0041",
    "newlines": "a\nb\r\nc\td\x00\x1f\u2028",
    "emoji": "🐶👩‍👩‍👧",
    "right to left": "שלום \u202e abc",
    "json in json": '{"text": "score 7"}',
}


@pytest.mark.parametrize("name", TEXTS)
def test_any_text_is_scored_and_comes_back_as_it_was(api, name):
    text = TEXTS[name]
    body = {"query": text, "documents": [text], "return_documents": True, "raw_scores": True}
    for content in (json.dumps(body), json.dumps(body, ensure_ascii=False)):
        result = api.client.post("/v1/rerank", content=content).json()["results"][0]
        assert result["document"] == {"text": text}
        assert result["relevance_score"] == (7.0 if "score 7" in text else float(len(text)))


def test_half_a_surrogate_pair_is_replaced_and_scored(api):
    body = rb'{"query": "\ud83d", "documents": ["\udc36 a\ud83d", "\ud83d\udc36"], "return_documents": true}'
    results = api.client.post("/v1/rerank", content=body).json()["results"]
    assert [one["document"]["text"] for one in results] == ["\ufffd a\ufffd", "🐶"]


GOOD = '"query": "q", "documents": ["score 1"]'
ODD = {
    "nothing": (b"", 400),
    "no object": (b"[]", 400),
    "text": (b"query=q", 400),
    "cut off": (b'{"query": "q', 400),
    "not UTF-8": (b'{"query": "\xff"}', 400),
    "brackets 10,000 deep": (b"[" * 10_000, 400),
    "objects 10,000 deep": (b'{"a":' * 10_000, 400),
    "a document 10,000 deep": (b'{"query":"q","documents":[{"text":' + b"[" * 10_000 + b"]" * 10_000 + b"}]}", 400),
    "NaN": (f'{{{GOOD}, "x": NaN}}'.encode(), 400),
    "infinity": (f'{{{GOOD}, "x": 1e999}}'.encode(), 400),
    "an int of 5000 digits": (f'{{{GOOD}, "top_n": {"9" * 5000}}}'.encode(), 400),
    "an int of 50 digits": (f'{{{GOOD}, "top_n": {"9" * 50}}}'.encode(), 200),
    "a negative top_n": (f'{{{GOOD}, "top_n": -1}}'.encode(), 422),
    "top_n as text": (f'{{{GOOD}, "top_n": "many"}}'.encode(), 422),
    "equal keys, the last counts": (f'{{"documents": 5, {GOOD}}}'.encode(), 200),
    "a byte order mark": (b"\xef\xbb\xbf" + f"{{{GOOD}}}".encode(), 200),
    "unknown keys": (f'{{{GOOD}, "zzz": [1]}}'.encode(), 200),
    "null for what is optional": (f'{{{GOOD}, "top_n": null, "model": null, "rank_fields": null}}'.encode(), 200),
    "documents that are null": (b'{"query": "q", "documents": null}', 422),
    "a null document": (b'{"query": "q", "documents": [null]}', 422),
    "an empty object": (b'{"query": "q", "documents": [{}]}', 422),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_bodies_are_understood_or_refused(api, name):
    body, status = ODD[name]
    response = api.client.post("/v1/rerank", content=body)
    assert response.status_code == status
    assert ("results" if status == 200 else "message") in response.json()


def test_a_zipped_body_is_unzipped(api):
    body = gzip.compress(f"{{{GOOD}}}".encode())
    response = api.client.post("/v1/rerank", content=body, headers={"content-encoding": "gzip"})
    assert response.json()["results"] == [{"index": 0, "relevance_score": 0.731058579}]


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"no gzip", "gzip", 400),
        (gzip.compress(b"{}", mtime=0)[:-3], "gzip", 400),
        (b"{}", "br", 400),
        (gzip.compress(b" " * 50_000_000, mtime=0), "gzip", 413),
    ],
)
def test_what_cant_be_unzipped_within_bounds_is_refused(api, body, encoding, status):
    response = api.client.post("/v1/rerank", content=body, headers={"content-encoding": encoding})
    assert response.status_code == status


@pytest.mark.parametrize("logit", [0, 1, -1, 0.1, 1e-9, -1e-9, 1 / 3, -16.1, 22.0, 40.0, -40.0, 745.0, -745.0, 1e300])
def test_every_score_is_a_double_to_java(logit):
    # OpenSearch takes neither an integer nor a literal of 19 characters for a Double.
    for value in (plain(Mapping()(logit)), plain(float(logit))):
        literal = json.dumps(value)
        assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", literal)
        assert re.search(r"[.e]", literal)
        assert len(literal) <= 18


def test_pieces_of_a_request_are_put_together(api):
    host, port = api.url.removeprefix("http://").split(":")
    body = f"{{{GOOD}}}".encode()
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in body:
            connection.sendall(b"1\r\n%c\r\n" % byte)
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("name", [b"[", b"<script>", b"a b", b"", b"\xff"])
@pytest.mark.parametrize(("path", "status"), [(b"/", b"200"), (b"/nope", b"404"), (b"/v1/rerank", b"405")])
def test_a_strange_host_name_is_no_trouble(api, name, path, status):
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (path, name))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split()[1] == status
    assert b"<script>" not in answer
