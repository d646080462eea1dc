"""Which product a cluster is, by its answer to `GET /`."""

from __future__ import annotations

import json

import pytest

from connectors.opensearch.flow.product import product_in


def about(**version):
    return json.dumps({"name": "n", "cluster_name": "docs", "version": version, "tagline": "t"}).encode()


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ({"distribution": "opensearch", "number": "2.19.1", "build_type": "tar"}, "OpenSearch"),
        ({"number": "7.10.2", "build_type": "tar"}, "OpenSearch"),  # compatibility.override_main_response_version
        ({"number": "8.19.7", "build_flavor": "default", "build_type": "docker"}, "Elasticsearch"),
        ({"number": "8.11.0", "build_flavor": "serverless", "build_type": "docker"}, "Elasticsearch"),
    ],
)
def test_a_product_is_known_by_its_answer(version, name):
    found = product_in(about(**version))
    assert (found.name, found.version.number, found.cluster_name) == (name, version["number"], "docs")


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"<html>", b"[]", b"{}", b'{"version":{}}', b'{"version":{"number":7}}']
)
def test_another_answer_is_none_of_them(body):
    assert product_in(body) is None
