"""Clients that sniff ask `GET /_nodes` where to connect to, and must not be led past the sidecar."""

from __future__ import annotations

import gzip

import pytest

from sidecar.core.errors import ConfigurationError
from sidecar.serving.proxy.node_addresses import address_in, check_address, tells_addresses, with_address
from tests.support.servers.served import served
from tests.support.servers.stub import Stub

NODES = (
    b'{"_nodes":{"total":2},"cluster_name":"c","nodes":{"a":{"name":"n 1","http":{"bound_address":["[::]:9200"],'
    b'"publish_address":"10.0.0.5:9200","max_content_length_in_bytes":104857600}},'
    b'"b":{"ip":"10.0.0.6","load":0.10,"http":{"publish_address":"os-2/10.0.0.6:9200"}},"c":{"roles":[]}}}'
)
TOLD = (
    b'{"_nodes":{"total":2},"cluster_name":"c","nodes":{"a":{"name":"n 1","http":{"bound_address":["near:9280"],'
    b'"publish_address":"near:9280","max_content_length_in_bytes":104857600}},'
    b'"b":{"ip":"10.0.0.6","load":0.10,"http":{"publish_address":"near:9280"}},"c":{"roles":[]}}}'
)


def answer(body):
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def test_every_address_is_rewritten_and_all_else_keeps_its_bytes():
    assert with_address(NODES, "near:9280") == TOLD


@pytest.mark.parametrize(
    "body", [b"", b"text", b"[]", b'{"nodes":[]}', b'{"nodes":{"a":1}}', b'{"error":"x"}', b"\xff"]
)
def test_what_is_no_node_information_comes_back_as_it_is(body):
    assert with_address(body, "near:9280") == body


@pytest.mark.parametrize(
    ("method", "path", "tells"),
    [
        ("GET", b"/_nodes", True),
        ("GET", b"/_nodes/", True),
        ("GET", b"/_nodes/http", True),  # opensearch-js, the Java sniffer
        ("GET", b"/_nodes/_all/http", True),  # opensearch-py
        ("GET", b"//_nodes//_local", True),
        ("GET", b"/_nodes/stats", False),
        ("GET", b"/_nodes/n1/stats", False),
        ("GET", b"/_nodes/hot_threads", False),
        ("POST", b"/_nodes/reload_secure_settings", False),
        ("HEAD", b"/_nodes", False),
        ("GET", b"/docs/_nodes", False),
    ],
)
def test_node_information_is_told_by_its_path(method, path, tells):
    assert tells_addresses(method, path) is tells


@pytest.mark.parametrize(
    ("host", "scheme", "address"),
    [
        (b"near:9280", "http", "near:9280"),
        (b"near", "http", "near:80"),
        (b"near", "https", "near:443"),
        (b"[::1]:9280", "http", "[::1]:9280"),
        (b"[::1]", "http", "[::1]:80"),
        (b"", "http", None),
        (b"a b:1", "http", None),
        (b"user@near:1", "http", None),
    ],
)
def test_a_client_is_told_the_address_by_which_it_came(host, scheme, address):
    assert address_in(host, scheme) == address


@pytest.mark.parametrize("address", ["", "near", "near:port", "http://near:9280", "near:9280/path"])
def test_an_address_that_is_none_is_refused_at_the_start(address):
    with pytest.raises(ConfigurationError, match="no address to tell clients"):
        check_address(address)


@pytest.mark.parametrize(
    ("advertised", "expected"),
    [("auto", TOLD), ("off", NODES), ("far.example:443", TOLD.replace(b"near:9280", b"far.example:443"))],
)
def test_the_service_tells_what_the_setting_says(advertised, expected):
    with Stub(answer(NODES)) as stub, served(stub.url, advertised_address=advertised) as running:
        found = running.ask("GET", "/_nodes/_all/http", headers={"Host": "near:9280", "Accept-Encoding": "gzip"})
        assert (found.status, found.body) == (200, expected)
        asked_for_gzip = b"accept-encoding: gzip" in stub.requests[-1].lower()
        assert asked_for_gzip is (advertised == "off")


def test_an_error_passes_as_it_is():
    refused = b"HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
    with Stub(refused % (len(NODES), NODES)) as stub, served(stub.url) as running:
        found = running.ask("GET", "/_nodes")
        assert (found.status, found.body) == (403, NODES)


def test_where_only_searches_pass_nodes_do_not():
    with Stub(answer(NODES)) as stub, served(stub.url, pass_through="search") as running:
        assert running.ask("GET", "/_nodes").status == 403
        assert stub.requests == []


def test_what_is_compressed_all_the_same_passes_untouched():
    packed = gzip.compress(NODES)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b"
    with Stub(head % (len(packed), packed)) as stub, served(stub.url) as running:
        assert running.ask("GET", "/_nodes").body == packed
