"""Made-up requests that try to have a part of them read as another request, or an answer read as another's.

Each function makes one attempt from a random generator; `mallory` is the Authorization of an account with few rights.
"""

from __future__ import annotations

import gzip
import json
from itertools import pairwise

from tests.support.attack.raw_requests import Attempt, as_bytes, chunked, head

BODY = b'{"query":{"match":{"text":"fox"}}}'
RERANKED = b'{"query":{"match":{"text":"fox"}},"ext":{"rerank":{"query_context":{"query_text":"fox"}}}}'
# What an attacker would like the next caller's credentials to carry out, or to be answered to somebody else.
SMUGGLED = [
    b"DELETE /precious HTTP/1.1\r\nX-Ignore: ",
    b"DELETE /precious HTTP/1.1\r\nHost: x\r\nX-Ignore: ",
    b"DELETE /precious HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"PUT /precious/_doc/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    b"GET /ada-docs/_search HTTP/1.1\r\nHost: x\r\nX-Ignore: ",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3,
    b"POST /precious/_close HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nX-Ignore: ",
]
TARGETS = ["/public/_search", "/public/_msearch", "/public/_count", "/scratch/_doc/1", "/_bulk", "/"]
JSON = ("Content-Type", "application/json")


def in_pieces(chance, data):
    """Cut bytes into one to three pieces."""
    cuts = sorted(chance.randint(0, len(data)) for _ in range(chance.choice([0, 0, 1, 2])))
    ends = [0, *cuts, len(data)]
    return [piece for piece in (data[a:b] for a, b in pairwise(ends)) if piece]


def at_its_head(chance, first, body):
    """The head alone first, or all in one piece, or cut anywhere."""
    return chance.choice([[first, body], [first + body], in_pieces(chance, first + body)])


def who(chance, mallory):
    return chance.choice([[("Authorization", mallory)], [("Authorization", mallory)], []])


def framed(chance, body, headers):
    """A body with its length, or in chunks; returns headers and bytes."""
    if chance.random() < 0.3:
        return [*headers, ("Transfer-Encoding", "chunked")], chunked(body, [chance.randint(1, 20)])
    return [*headers, ("Content-Length", len(body))], body


def expectation(chance, mallory):
    """`Expect` with every value but the one there is."""
    value = chance.choice([
        "nonsense", "", "100-continue, x", "x, 100-continue", "100-Continue;q=1", "200-ok", '"100-continue"',
        "100-continue\t", "100 continue", "".join(chance.choices("abc-10,; =", k=chance.randint(1, 12))),
    ])  # fmt: skip
    body = chance.choice([*SMUGGLED, BODY, RERANKED])
    name = chance.choice(["Expect", "expect", "EXPECT"])
    headers, sent = framed(chance, body, [("Host", "x"), JSON, *who(chance, mallory), (name, value)])
    if chance.random() < 0.2:
        headers.append(("Expect", "100-continue"))
    method = chance.choice(["POST", "PUT", "GET", "DELETE"])
    return Attempt(at_its_head(chance, head(method, chance.choice(TARGETS), headers), sent))


def upgrade(chance, mallory):
    """An offer to speak another protocol, with a body."""
    offered = chance.choice(["h2c", "websocket", "x", "TLS/1.2", "h2c, websocket", "", "HTTP/2.0"])
    body = chance.choice([*SMUGGLED, BODY, RERANKED, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
    offers = [("Connection", chance.choice(["Upgrade", "Upgrade, HTTP2-Settings", "keep-alive, upgrade", "close"]))]
    offers += [("Upgrade", offered), ("HTTP2-Settings", "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA")]
    headers, sent = framed(chance, body, [("Host", "x"), JSON, *who(chance, mallory), *offers])
    return Attempt(at_its_head(chance, head(chance.choice(["POST", "GET"]), chance.choice(TARGETS), headers), sent))


def early_answer(chance, mallory):
    """A request that OpenSearch answers before it has read the body: 400, 401, 405, 413, 417."""
    body = chance.choice(SMUGGLED)
    target, method, more = chance.choice([
        ("/public/_search", "POST", [("Content-Length", chance.choice([104857601, 200_000_000, 2**31, 2**33]))]),
        ("/public/_search", "POST", [("X-Long", "a" * chance.randint(7000, 9000))]),
        ("/public/_search?q=" + "a" * chance.randint(4000, 5000), "POST", []),
        ("/public/_doc/%zz", "POST", []),
        ("/public/_search?%", "POST", []),
        ("/public/_search", "BREW", []),
        ("/public/_search", "TRACE", []),
        ("/public/_doc/1", "PATCH", []),
        ("/public/_search", "POST", [("Content-Type", "image/png")]),
        ("/public/_search", "POST", [("Content-Encoding", "gzip")]),
        ("/public/_search", "POST", [("Authorization", "Basic !!!!")]),
        ("/public/_search", "POST", [("Authorization", "Bearer a.b.c")]),
        ("//", "POST", []),
        ("*", "OPTIONS", []),
    ])  # fmt: skip
    headers = [("Host", "x"), *more]
    names = {name for name, _ in headers}
    if "Authorization" not in names:
        headers += who(chance, mallory)
    if "Content-Length" not in names:
        headers, body = framed(chance, body, headers)
    return Attempt(at_its_head(chance, head(method, target, headers), body), pause=0.1)


def large_header(chance, mallory):
    """Headers around the 8192 bytes that OpenSearch reads, in one or in many, as names or as values."""
    size = chance.choice([4000, 8000, 8100, 8180, 8192, 8193, 8300, 9000, 16_000, 16_384, 16_500, 30_000, 60_000])
    size += chance.randint(-8, 8)
    shape = chance.randint(0, 3)
    if shape == 0:
        extra = [("X-Long", "a" * size)]
    elif shape == 1:
        extra = [(f"X-{i}", "a" * 50) for i in range(size // 60)]
    elif shape == 2:
        extra = [("a" * size, "x")]
    else:
        extra = [("Cookie", f"c{i}={'b' * 100}") for i in range(size // 110)]
    body = chance.choice([*SMUGGLED, RERANKED])
    headers, sent = framed(chance, body, [("Host", "x"), JSON, *who(chance, mallory), *extra])
    return Attempt(at_its_head(chance, head("POST", chance.choice(TARGETS), headers), sent))


CODINGS = [
    b"chunked", b"Chunked", b" chunked", b"chunked ", b"\tchunked", b"xchunked", b"chunked, identity", b"identity",
    b"identity, chunked", b"gzip, chunked", b"chunked, chunked", b"chunked;q=1", b'"chunked"', b"chun\x00ked",
    b"\x0bchunked", b"chunked\r\n\tx", b"ch\xc3\xbcnked", b"",
]  # fmt: skip
NAMES = [b"Transfer-Encoding", b"transfer-encoding", b"Transfer-Encoding ", b"Transfer_Encoding", b" Transfer-Encoding",
         b"Transfer-Encoding\x00", b"X-X: y\rTransfer-Encoding", b"X-X: y\nTransfer-Encoding"]  # fmt: skip
LENGTHS = ["+{}", "0{}", " {}", "{} ", "{},{}", "-{}", "0x{}", "{}.0", "{}e0", "{}\t", "{}, 0", "{};x"]


def ambiguous_framing(chance, mallory):
    """Two ways to tell where a body ends: TE.CL, CL.TE, CL.CL, TE.TE, and lengths that are no plain number."""
    inner = chance.choice(SMUGGLED)
    body = chance.choice([inner, chunked(inner), b"0\r\n\r\n" + inner, chunked(BODY) + inner, BODY + inner])
    lengths = chance.choice([[len(body)], [0], [len(BODY)], [5], [len(body), 0], [0, len(body)], []])
    headers = [("Host", "x"), JSON, *who(chance, mallory)]
    headers += [("Content-Length", chance.choice(["{}", "{}", *LENGTHS]).replace("{}", str(one))) for one in lengths]
    if chance.random() < 0.8:
        headers.append((chance.choice(NAMES), chance.choice(CODINGS)))
    chance.shuffle(headers)
    version = chance.choice(["1.1", "1.1", "1.0", "0.9", "2.0", "1.2"])
    method = chance.choice(["POST", "GET", "HEAD", "DELETE", "OPTIONS", "PUT"])
    begun = head(method, chance.choice(TARGETS), headers, version)
    # Whoever stands before us may have read the other length, so what follows the first request is none.
    twice = len(set(lengths)) + (b"Transfer" in begun or b"transfer" in begun) > 1
    return Attempt(at_its_head(chance, begun, body), framed_twice=twice)


CHUNKS = [
    b"%x;ext=1\r\n%s\r\n0\r\n\r\n", b'%x;a="b\r\nc"\r\n%s\r\n0\r\n\r\n', b"0%x\r\n%s\r\n0\r\n\r\n",
    b"%x \r\n%s\r\n0\r\n\r\n", b"0x%x\r\n%s\r\n0\r\n\r\n", b"+%x\r\n%s\r\n0\r\n\r\n", b"%x\n%s\n0\n\n",
    b"%x\r\n%s0\r\n\r\n", b"%x\r\n%s\r\n00\r\n\r\n", b"%x\r\n%s\r\n0\r\nX: y\r\n\r\n",
    b"%x\r\n%s\r\n0\r\nContent-Length: 5\r\n\r\n", b"%x\r\n%s\r\n0\r\nAuthorization: Basic eDp5\r\n\r\n",
    b"ffffffffffffffff%x\r\n%s\r\n0\r\n\r\n", b"-%x\r\n%s\r\n0\r\n\r\n", b"%x;\x00\r\n%s\r\n0\r\n\r\n",
    b"%x\r\r\n%s\r\n0\r\n\r\n", b"1_%x\r\n%s\r\n0\r\n\r\n", b"%x\r\n%s\r\n0\r\n",
]  # fmt: skip


def odd_chunks(chance, mallory):
    """Chunk sizes, extensions and trailers that parsers read in different ways, and a request behind them."""
    inner = chance.choice([BODY, RERANKED, *SMUGGLED])
    body = chance.choice(CHUNKS) % (len(inner), inner) + chance.choice([b"", *SMUGGLED])
    headers = [("Host", "x"), JSON, *who(chance, mallory), ("Transfer-Encoding", "chunked")]
    if chance.random() < 0.3:
        headers.append(("Trailer", "Authorization"))
    return Attempt(at_its_head(chance, head("POST", chance.choice(TARGETS), headers), body))


LINES = [
    b"GET http://evil.test/ada-docs/_search HTTP/1.1\r\nHost: x\r\n", b"GET ada-docs/_search HTTP/1.1\r\nHost: x\r\n",
    b"GET /public/_search\r\n", b"GET  /public/_search  HTTP/1.1\r\nHost: x\r\n", b"GET\t/public/_search\tHTTP/1.1\r\n",
    b"GET /public/_search HTTP/1.1\r\nHost: x\r\nHost: y\r\n", b"GET /public/_search HTTP/1.1\r\n",
    b"GET /public/_search#x HTTP/1.1\r\nHost: x\r\n", b"GET /public/_search HTTP/1.1 DELETE /precious HTTP/1.1\r\n",
    b"GET /public/_search HTTP/1.1\r\nHost: x\r\nX-Fold: a\r\n b: c\r\n",
    b"get /public/_search HTTP/1.1\r\nHost: x\r\n",
    b"GET /public/_search HTTP/1.1\nHost: x\n", b"\r\n\r\nGET /public/_search HTTP/1.1\r\nHost: x\r\n",
    b"CONNECT 127.0.0.1:9200 HTTP/1.1\r\nHost: x\r\n", b"GET /public/_search HTTP/1.0\r\nConnection: keep-alive\r\n",
    b"GET /public/_search HTTP/1.1\r\nHost: x\r\nNo colon\r\n",
    b"GET /public/_search HTTP/1.1\r\nHost: x\r\n: empty\r\n",
    b"GET /public/_se\x00arch HTTP/1.1\r\nHost: x\r\n", b"GET /public/_search HTTP/1.1\r\nHost: x\r\nA\xc3\xa9: b\r\n",
    b"GET /public/_search?x=\r DELETE /precious HTTP/1.1\r\nHost: x\r\n",
    b"GET /public/%0d%0a%0d%0aDELETE%20/precious HTTP/1.1\r\nHost: x\r\n",
    b"GET /%E2%80%8A%C4%8D%C4%8A HTTP/1.1\r\nHost: x\r\n",
]  # fmt: skip


def odd_lines(chance, mallory):
    """Request lines and header lines that are none, and requests behind them on the same connection."""
    begun = chance.choice(LINES) + b"Authorization: " + as_bytes(mallory) + b"\r\n"
    follows = chance.choice([b"", *SMUGGLED, BODY, head("GET", "/public/_count", [("Host", "x")])])
    framing = chance.choice([b"\r\n", b"Content-Length: %d\r\n\r\n" % len(follows), b"Content-Length: 0\r\n\r\n"])
    return Attempt(at_its_head(chance, begun + framing, follows))


def pipelined(chance, mallory):
    """Several requests on one connection, some of them refused early, some of them reranked, some with odd methods."""
    parts = []
    for _ in range(chance.randint(2, 6)):
        body = chance.choice([b"", BODY, RERANKED, *SMUGGLED, gzip.compress(RERANKED)])
        more = chance.choice([[], [], [("Expect", "100-continue")], [("Expect", "x")], [("Content-Encoding", "gzip")],
                              [("X-Long", "a" * 8500)], [("Connection", "close")], [("Upgrade", "h2c")]])  # fmt: skip
        headers, sent = framed(chance, body, [("Host", "x"), JSON, *who(chance, mallory), *more])
        method = chance.choice(["POST", "POST", "GET", "HEAD", "OPTIONS"])
        parts.append(head(method, chance.choice(TARGETS), headers) + sent)
    return Attempt(in_pieces(chance, b"".join(parts)), pause=0.02)


CONNECTIONS = [
    "authorization", "close, authorization", "content-type", "content-length", "x-opaque-id", "host", "cookie",
    "transfer-encoding", "expect", "keep-alive, x-forwarded-for", "Authorization", "x-sidecar-api-key",
    "accept-encoding",
]  # fmt: skip
SPLITS = [
    "a\r\nX-Injected: 1",
    "a\rX-Injected: 1",
    "a\nX-Injected: 1",
    "a\x00b",
    "ä€\u2028",
    "\x7f\x1b[31m",
    "č\u560d\u560a",
]


def odd_headers(chance, mallory):
    """Header values that come back in answers or decide what is dropped on the way."""
    injected = chance.choice(SPLITS).encode()
    model = chance.choice(["m", injected.decode("utf-8", "replace"), "\r\nX-Injected: 1", "ä\u2028"])
    asked = {"query": {"match": {"text": "fox"}}, "ext": {"rerank": {"model": model}}}
    body = chance.choice([BODY, RERANKED, json.dumps(asked).encode(), gzip.compress(RERANKED)])
    headers = [("Host", "x"), chance.choice([JSON, (b"Content-Type", b"application/" + injected)])]
    headers += who(chance, mallory)
    headers += chance.sample([
        (b"X-Opaque-Id", injected),
        (b"Connection", chance.choice(CONNECTIONS).encode()),
        (b"Content-Encoding", chance.choice([b"gzip", b"GZIP", b"br", b"gzip, gzip", injected])),
        (b"Accept-Encoding", chance.choice([b"gzip", b"br;q=1.0, gzip;q=0", injected])),
        (b"X-Forwarded-For", b"127.0.0.1"), (b"X_Forwarded_For", b"127.0.0.1"), (b"X-Proxy-User", b"admin"),
        (b"X-Proxy-Roles", b"all_access"), (b"securitytenant", b"admin"), (b"X-Forwarded-User", b"admin"),
        (b"opendistro_security_impersonate_as", b"admin"), (b"_opendistro_security_user", b"admin"),
        (b"Authorization", b"Basic YWRtaW46d3Jvbmc="), (b"X-HTTP-Method-Override", b"DELETE"), (b"TE", b"trailers"),
    ], chance.randint(1, 4))  # fmt: skip
    headers, sent = framed(chance, body, headers)
    index = chance.choice(
        ["public", "pub%0d%0aX-Injected:%201", "%C3%A4", "p\u00fcblic", "public%00", "public,%0aX:%20y"]
    )
    method, end = chance.choice(["POST", "GET"]), chance.choice(["_search", "_msearch", "_count"])
    return Attempt(at_its_head(chance, head(method, f"/{index}/{end}", headers), sent))


CLASSES = {
    "Expect": expectation,
    "Upgrade": upgrade,
    "answers before the body": early_answer,
    "large headers": large_header,
    "ambiguous framing": ambiguous_framing,
    "chunks, extensions, trailers": odd_chunks,
    "request and header lines": odd_lines,
    "pipelining": pipelined,
    "header values": odd_headers,
}
