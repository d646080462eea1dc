"""The state of an OpenSearch index, by which a resumed run finds out that it has changed."""

from __future__ import annotations

import uuid

import pytest

from connectors.opensearch.admin.bulk import load
from connectors.opensearch.admin.cluster_info import index_state
from sidecar.core.corpus import Document

pytestmark = pytest.mark.live


def test_every_write_changes_the_state(client):
    name = f"state-{uuid.uuid4().hex[:8]}"
    load(client, name, [Document("d1", "", "a red fox")])
    first = index_state(client, name)
    assert first is not None
    assert index_state(client, name) == first
    client.index(index=name, id="d1", body={"text": "another fox"}, refresh=True)
    second = index_state(client, name)
    client.indices.delete(index=name)
    load(client, name, [Document("d1", "", "another fox")])
    assert len({first, second, index_state(client, name)}) == 3
    client.indices.delete(index=name)
