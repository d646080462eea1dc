"""A search that OpenSearch accepts, asking for reranking, is reranked however it is written, or says why it is not."""

from __future__ import annotations

import json
import random
import uuid
from functools import partial
from urllib.parse import quote

import pytest

from tests.support.servers.scripted import FAKE
from tests.support.servers.served import ask, served

pytestmark = pytest.mark.live
JSON = {"content-type": "application/json"}
LINES = {"content-type": "application/x-ndjson"}
ASKS = '"ext":{"rerank":{"query_context":{"query_text":"fox"}}}'
BODY = '{"query":{"match":{"text":"fox"}},"size":3,EXT}'
TEMPLATE = '{"source":{"query":{"match":{"text":"{{q}}"}},"size":3,EXT},"params":{"q":"fox"}}'
TEXT = '{"source":"{\\"query\\":{\\"match\\":{\\"text\\":\\"{{q}}\\"}},\\"size\\":3,EXT}","params":{"q":"fox"}}'


@pytest.fixture(scope="module")
def service(opensearch_url):
    with served(opensearch_url, FAKE, budget_ms=60_000) as running:
        yield running


@pytest.fixture(scope="module")
def foxes(opensearch_url):
    name = f"foxes-{uuid.uuid4().hex[:8]}"
    settings = b'{"settings":{"number_of_shards":1,"number_of_replicas":0}}'
    assert ask(opensearch_url, "PUT", f"/{name}", settings, JSON).status == 200
    for i in range(20):
        text = f"{'fox ' * (1 + i)}score {(i * 7) % 20}"
        path = f"/{name}/_doc/{i}?refresh={str(i == 19).lower()}"
        assert ask(opensearch_url, "PUT", path, json.dumps({"text": text}).encode(), JSON).status == 201
    yield name
    ask(opensearch_url, "DELETE", f"/{name}")


# A body, with EXT where `ext` goes, and how it is encoded.
BODIES = {
    "as usual": (BODY, "utf-8"),
    "byte order mark": (BODY, "utf-8-sig"),
    "UTF-16": (BODY, "utf-16"),
    "UTF-16, big first": (BODY, "utf-16-be"),
    "UTF-32": (BODY, "utf-32"),
    "line comment": ('{// "ext"\n' + BODY[1:], "utf-8"),
    "comments": ("/* a */" + BODY.replace(":3", ":/* three */3") + "// end", "utf-8"),
    "half a surrogate": (BODY.replace(":3", ':3,"stats":["\\ud83d"]'), "utf-8"),
    "half a surrogate as bytes": (BODY.replace('"fox"', '"fox \udc00"', 1), "utf-8"),
    "half a surrogate in the text to rank by": (BODY, "utf-8"),
    "escaped key": (BODY, "utf-8"),
}


def written(case, ext):
    text, encoding = BODIES[case]
    if case == "escaped key":
        ext = ext.replace("rerank", "\\u0072erank")
    if "to rank by" in case:
        ext = ext.replace('"fox"', '"fox \\ud83d"')
    text = text.replace("EXT", ext) if ext else text.replace(",EXT", "")
    return text.encode(encoding, "surrogatepass")


@pytest.mark.parametrize("case", BODIES)
@pytest.mark.parametrize("path", ["/_search", "/_search/", "/_search//"])
def test_bodies(service, opensearch_url, foxes, case, path):
    directly = ask(opensearch_url, "POST", f"/{foxes}{path}", written(case, ""), JSON)
    assert (directly.status, len(ids(directly))) == (200, 3)
    asked = service.ask("POST", f"/{foxes}{path}", written(case, ASKS), JSON)
    assert outcome(asked) == (200, "applied", "")
    assert ids(asked) == BEST


BEST = ["17", "14", "11"]  # scores 19, 18, 17


def ids(answer):
    return [hit["_id"] for hit in answer.json()["hits"]["hits"]]


def outcome(answer):
    return answer.status, answer.headers.get("x-rerank-status"), answer.headers.get("x-rerank-reason", "")


@pytest.mark.parametrize("header", ['{"indices":["NAME"]}', '{"indices":"NAME"}', '{"index":["NAME"]}', "/* a */ {}"])
def test_headers_of_an_msearch(service, foxes, header):
    path = "/_msearch/" if "NAME" in header else f"/{foxes}/_msearch"
    line = "\ufeff" + BODY.replace("EXT", "/* a */" + ASKS)
    asked = service.ask("POST", path, (header.replace("NAME", foxes) + "\n" + line + "\n").encode(), LINES)
    assert outcome(asked) == (200, "applied", "")
    assert [hit["_id"] for hit in asked.json()["responses"][0]["hits"]["hits"]] == BEST


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_body_in_the_url(service, opensearch_url, foxes, method):
    query = "source={}&source_content_type=application/json&size=2;from=1"
    plain = quote(BODY.replace(",EXT", ""))
    assert ask(opensearch_url, method, f"/{foxes}/_search?{query.format(plain)}").status == 200
    asked = service.ask(method, f"/{foxes}/_search?{query.format(quote(BODY.replace('EXT', ASKS)))}")
    assert outcome(asked) == (200, "applied", "")
    assert ids(asked) == BEST[1:]


def test_lines_of_an_msearch_in_the_url(service, foxes):
    lines = quote("{}\n" + BODY.replace("EXT", ASKS) + "\n")
    asked = service.ask("GET", f"/{foxes}/_msearch?source={lines}&source_content_type=application/x-ndjson")
    assert outcome(asked) == (200, "applied", "")
    assert [hit["_id"] for hit in asked.json()["responses"][0]["hits"]["hits"]] == BEST


@pytest.mark.parametrize("template", [TEMPLATE, TEXT])
def test_templates(service, opensearch_url, foxes, template):
    ext = ASKS if template is TEMPLATE else ASKS.replace('"', '\\"')
    plain = template.replace(",EXT", "").encode()
    assert len(ids(ask(opensearch_url, "POST", f"/{foxes}/_search/template", plain, JSON))) == 3
    asked = service.ask("POST", f"/{foxes}/_search/template", template.replace("EXT", ext).encode(), JSON)
    assert outcome(asked) == (200, "applied", "")
    assert ids(asked) == BEST
    untouched = service.ask("POST", f"/{foxes}/_search/template", plain, JSON)
    assert outcome(untouched) == (200, None, "")


def test_a_stored_template(service, opensearch_url, foxes):
    source = json.dumps(BODY.replace('"fox"', '"{{q}}"', 1).replace("EXT", ASKS))
    stored = f'{{"script":{{"lang":"mustache","source":{source}}}}}'.encode()
    assert ask(opensearch_url, "PUT", f"/_scripts/{foxes}", stored, JSON).status == 200
    try:
        body = json.dumps({"id": foxes, "params": {"q": "fox"}, "explain": True}).encode()
        asked = service.ask("POST", f"/{foxes}/_search/template/", body, JSON)
        assert outcome(asked) == (200, "applied", "")
        assert ids(asked) == BEST
        assert "_explanation" in asked.json()["hits"]["hits"][0]
    finally:
        ask(opensearch_url, "DELETE", f"/_scripts/{foxes}")


def test_templates_of_an_msearch_are_answered_and_say_why_not(service, foxes):
    body = f'{{"index":"{foxes}"}}\n{TEMPLATE.replace("EXT", ASKS)}\n'.encode()
    asked = service.ask("POST", "/_msearch/template", body, LINES)
    assert outcome(asked) == (200, "skipped", "templates in an _msearch are not reranked")
    assert asked.json()["responses"][0]["hits"]["total"]["value"] == 20


SPACES = ["", " ", "\n", "/**/", "//x\n", '/* " */', "/*/ */", "//\r", " /* // */ ", "// /* \n", "/***/"]
TEXTS = ['"fox"', '"fox // no"', '"fox /* no */"', '"fox \\"//"', '"fox\\\\"', '"fox\\/"', '"föx fox"', '"fox 🦊"']
SIZES = ["3", "3.0", '"3"', "03"]
SORTS = ['"_score"', '{"_score":"DESC"}', '[{"_score":{"order":"Desc"}}]', "[]"]
EXTS = ['"ext":{"rerank":{}}', '"\\u0065xt":{"r\\u0065rank":{}}', '"ext"//x\n:{"rerank":null}']
ENCODINGS = ["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"]


def made_up(chance):
    """A body without `ext`, and the same with it; one in some that OpenSearch refuses."""
    space = partial(chance.choice, SPACES)
    members = [
        f'{space()}"query"{space()}:{{"match"{space()}:{{"text":{space()}{chance.choice(TEXTS)}{space()}}}}}{space()}',
        f'"size"{space()}:{chance.choice(SIZES)}{space()}',
        f'"sort":{chance.choice(SORTS)}',
    ]
    chance.shuffle(members)
    plain = "{" + ",".join(members) + space() + "}"
    return plain, plain[:-1] + "," + chance.choice(EXTS) + "}"


def test_whatever_is_accepted_without_ext_is_reranked_with_it(service, opensearch_url, foxes):
    chance = random.Random(7)
    accepted = 0
    for _ in range(200):
        encoding = chance.choice(ENCODINGS)
        plain, asking = (body.encode(encoding) for body in made_up(chance))
        directly = ask(opensearch_url, "POST", f"/{foxes}/_search", plain, JSON).status
        expected = (200, "applied") if directly == 200 else (400, None)
        assert outcome(service.ask("POST", f"/{foxes}/_search", asking, JSON))[:2] == expected, asking
        accepted += directly == 200
    assert 100 < accepted < 200


@pytest.mark.parametrize("q", ["text:flöhe", "text:fl%C3%B6he"])
def test_a_query_string_beyond_ascii_finds_the_same(service, opensearch_url, foxes, q):
    found = [raw_get(url, f"/{foxes}/_search?q={q}") for url in (opensearch_url, service.url)]
    assert found[0] == found[1]


def raw_get(url, target):
    import socket
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b" ")[1], json.loads(body)["hits"]
