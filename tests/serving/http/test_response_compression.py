"""Reranked answers are compressed for whoever takes that, as OpenSearch's own are."""

from __future__ import annotations

import gzip
import json

import pytest

from sidecar.serving.http.response_compression import takes_gzip
from tests.support.servers.hits import opensearch
from tests.support.servers.searches import body
from tests.support.servers.served import served
from tests.support.servers.stub import Stub


@pytest.mark.parametrize("accepted", ["gzip", "deflate, GZIP;q=0.5", "br, *", "x-gzip", "gzip;q=1.0, *;q=0"])
def test_gzip_is_taken(accepted):
    assert takes_gzip(accepted.encode())


@pytest.mark.parametrize(
    "accepted", ["", "identity", "br", "gzip;q=0", "gzip;q=0.0, *", "gzip;q=x", "*;q=0", "gzipped"]
)
def test_gzip_is_not_taken(accepted):
    assert not takes_gzip(accepted.encode())


def test_a_reranked_answer_is_compressed_where_that_is_asked_for():
    with Stub(opensearch) as stub, served(stub.url) as running:
        for size in (100, 40):
            plain = running.search("docs", body(size=size))
            packed = running.search("docs", body(size=size), **{"accept-encoding": "gzip"})
            assert (packed.headers["x-rerank-status"], packed.headers["content-encoding"]) == ("applied", "gzip")
            found = [json.loads(one)["hits"] for one in (plain.body, gzip.decompress(packed.body))]
            assert found[0] == found[1]
            assert len(packed.body) < len(plain.body) / 2
        assert "content-encoding" not in running.search("docs", body(size=1), **{"accept-encoding": "gzip"}).headers
        assert "content-encoding" not in plain.headers
