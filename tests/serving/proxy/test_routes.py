"""OpenSearch's own reading routes may pass; everything else is refused, however its path is written."""

from __future__ import annotations

import pytest

from sidecar.serving.proxy.route_table import TABLE, Kind, PassThrough
from sidecar.serving.proxy.routes import passes, route

SEARCHED = [
    ("/_search", "search", ""),
    ("/_search/", "search", ""),
    ("//_search", "search", ""),
    ("/docs/_search", "search", "docs"),
    ("/docs/_search//", "search", "docs"),
    ("/_all/_search", "search", "_all"),
    ("/%5Fall/_search", "search", "_all"),
    ("/docs,-old*/_search", "search", "docs,-old*"),
    ("/%3Clogs-%7Bnow%2Fd%7D%3E/_search", "search", "<logs-{now/d}>"),
    ("/fl%C3%B6he/_msearch", "msearch", "flöhe"),
    ("/_msearch/", "msearch", ""),
]


@pytest.mark.parametrize(("path", "kind", "index"), SEARCHED)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_searches_are_known_by_their_whole_path(method, path, kind, index):
    found = route(method, path.encode())
    assert (found.kind, found.index, found.narrowest) == (kind, index, PassThrough.SEARCH)


READ = [
    ("POST", "/docs/_search/template"), ("GET", "/_msearch/template"), ("POST", "/_count"), ("POST", "/docs/_count/"),
]  # fmt: skip
READ_ONLY = [
    ("GET", "/"), ("HEAD", "/"), ("GET", "/docs"), ("HEAD", "/docs/"), ("GET", "/docs/_doc/_search"),
    ("HEAD", "/docs/_doc/a%2Fb"), ("POST", "/docs/_mget"), ("POST", "/_search/scroll"), ("DELETE", "/_search/scroll"),
    ("DELETE", "/_search/scroll/DXF1ZXJ5"), ("POST", "/docs/_search/point_in_time"), ("GET", "/_cat/indices/docs"),
    ("GET", "/_nodes/_all/http"), ("GET", "/_cluster/health"), ("POST", "/docs/_explain/7"), ("POST", "/_plugins/_sql"),
    ("POST", "/_plugins/_ppl/_explain"), ("GET", "/docs/_mapping/field/text"), ("POST", "/_render/template/mine"),
    ("GET", "/_all/_settings"), ("POST", "/docs/_rank_eval"), ("POST", "/_ingest/pipeline/mine/_simulate"),
]  # fmt: skip
WRITES = [
    # A document's id, a pipeline's or template's name may be that of a search.
    ("POST", "/docs/_doc/_search"), ("POST", "/docs/_create/_msearch"), ("POST", "/docs/_update/_search"),
    ("PUT", "/docs/_doc/_count"), ("POST", "/newindex/_doc/_search"), ("POST", "/docs/_doc"), ("POST", "/_bulk"),
    ("POST", "/docs/_bulk"), ("PUT", "/_search/pipeline/_search"), ("PUT", "/_ingest/pipeline/_search"),
    ("POST", "/_template/_search"), ("POST", "/_scripts/_search"), ("POST", "/_scripts/mine/_search"),
    ("POST", "/_snapshot/_search"), ("POST", "/_snapshot/mine/_search"), ("POST", "/docs/_alias/_search"),
    ("POST", "/docs/_rollover/_search"), ("PUT", "/docs/_clone/_search"),
    ("POST", "/_cluster/voting_config_exclusions/_search"), ("POST", "/_dangling/_search"), ("DELETE", "/_search"),
    ("PUT", "/_search"), ("DELETE", "/docs/_search"),
    # What writes, or acts on others, though it looks like a read.
    ("GET", "/_refresh"), ("GET", "/docs/_refresh"), ("GET", "/docs/_flush"), ("GET", "/_flush/synced"),
    ("GET", "/_scripts/painless/_execute"), ("POST", "/_scripts/painless/_execute"), ("POST", "/_reindex"),
    ("POST", "/docs/_update_by_query"), ("POST", "/docs/_delete_by_query"), ("DELETE", "/_search/scroll/_all"),
    ("DELETE", "/_search/scroll/%5Fall"), ("DELETE", "/_search/point_in_time/_all"), ("POST", "/docs/_cache/clear"),
    ("GET", "/_plugins/_knn/warmup/docs"), ("GET", "/_plugins/_notifications/feature/test/1"),
    ("POST", "/_tasks/1:2/_cancel"), ("POST", "/_nodes/reload_secure_settings"),
    ("POST", "/_plugins/_ml/models/_register"),
    # Other ways to write a path.
    ("POST", "/docs/%5Fsearch"), ("POST", "/docs//_search"), ("POST", "//docs/_search"), ("POST", "/./docs/_search"),
    ("POST", "/docs/../_search"), ("POST", "/../_search"), ("POST", "/%2E%2E/_search"), ("POST", "/docs/_search/.."),
    ("POST", "/docs/_search/../_delete_by_query"), ("POST", "/docs/_doc/../_search"), ("POST", "/docs/_SEARCH"),
    ("POST", "/docs%2F_doc%2F7/_search"), ("POST", "/_nodes/_search"), ("POST", "/_plugins/_search"),
    ("POST", "/%5Fdoc/_search"), ("POST", "/docs/_search;x"), ("POST", "/docs/_search%2F"), ("POST", "/docs/_search/x"),
    ("POST", "/docs/_doc/1/_search"), ("POST", "_search"), ("OPTIONS", "/docs/_search"), ("OPTIONS", "*"),
    ("post", "/docs/_search"), ("HEAD", "/docs/_search"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), READ)
def test_a_search_in_another_form_passes_in_every_mode(method, path):
    assert [passes(method, path.encode(), mode) for mode in PassThrough] == [True, True, True]


@pytest.mark.parametrize(("method", "path"), READ_ONLY)
def test_what_only_reads_passes_where_reads_do(method, path):
    modes = PassThrough.ALL, PassThrough.READ_ONLY, PassThrough.SEARCH
    assert [passes(method, path.encode(), mode) for mode in modes] == [True, True, False]


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_everything_else_passes_where_everything_does(method, path):
    modes = PassThrough.ALL, PassThrough.READ_ONLY, PassThrough.SEARCH
    assert [passes(method, path.encode(), mode) for mode in modes] == [True, False, False]
    assert route(method, path.encode()).kind is Kind.OTHER


def test_no_path_of_the_table_is_there_twice():
    paths = [(method, path) for entry in TABLE for method in entry.methods.split() for path in entry.paths.split()]
    assert len(paths) == len(set(paths))


def test_the_reserved_path_is_ours_and_no_other():
    assert route("GET", b"/_sidecar/health/live").kind is Kind.OURS
    assert route("GET", b"/_sidecars").kind is Kind.OTHER
