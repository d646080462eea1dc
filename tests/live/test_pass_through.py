"""All that may pass in a mode that only reads is sent to a real node, whose data and metadata stay as they were."""

from __future__ import annotations

import itertools
import json
import uuid

import pytest

from sidecar.serving.proxy.routes import PassThrough, passes
from tests.support.servers.served import ask, served

pytestmark = pytest.mark.live
JSON = {"content-type": "application/json"}
# What a document, a script, a template or an index may be called, and what OpenSearch's routes are made of.
SEGMENTS = (
    "{index}", "new-{index}", "7", "_search", "_msearch", "_count", "_doc", "_create", "_update", "_bulk", "_all",
    "_alias", "_source", "_mapping", "_settings", "_template", "_scripts", "_refresh", "_explain", "template", "scroll",
    "%5Fdoc", "..", "",
)  # fmt: skip
METHODS = ("GET", "POST", "PUT", "DELETE")


def made_of_segments(name, depth):
    for length in range(1, depth + 1):
        for segments in itertools.product(SEGMENTS, repeat=length):
            yield "/" + "/".join(segments).format(index=name)


@pytest.mark.parametrize("mode", ["search", "read-only"])
def test_nothing_that_passes_writes(opensearch_url, mode):
    name = f"precious-{uuid.uuid4().hex[:8]}"
    ask(opensearch_url, "PUT", f"/{name}/_doc/7?refresh=true", b'{"a":1}', JSON)
    before = state(opensearch_url)
    allowed = PassThrough(mode)
    sent = [
        (method, path)
        for path in made_of_segments(name, 3)
        for method in METHODS
        if passes(method, path.encode(), allowed)
    ]
    try:
        with served(opensearch_url, pass_through=mode) as running:
            statuses = {running.ask(method, path, b'{"a":2}', JSON).status for method, path in sent}
            assert running.ask("POST", f"/{name}/_doc/_search", b'{"a":2}', JSON).status == 403
        assert len(sent) > 20
        assert not statuses & {201, 403, 500, 502, 504}
        assert state(opensearch_url) == before
    finally:
        ask(opensearch_url, "DELETE", f"/{name}")


def state(url):
    """The version of the cluster's metadata, and how often each index was written to."""
    metadata = ask(url, "GET", "/_cluster/state/metadata,version").json()
    written = ask(url, "GET", "/_stats/indexing,docs?level=shards&filter_path=indices.*.shards.*.seq_no").body
    return json.dumps(metadata["metadata"], sort_keys=True), written
