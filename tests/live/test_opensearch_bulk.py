"""Documents loaded into a real OpenSearch."""

from __future__ import annotations

import uuid
from typing import NamedTuple

import pytest

from connectors.opensearch.admin.bulk import IndexOptions, load
from sidecar.core.errors import ConfigurationError, EngineRejected

pytestmark = pytest.mark.live


class Doc(NamedTuple):
    docid: str
    title: str
    text: str


@pytest.fixture
def name(client):
    name = f"bulk-{uuid.uuid4().hex[:8]}"
    yield name
    client.indices.delete(index=name, ignore=404)


def test_every_document_is_loaded_and_found(client, name):
    seen = []
    docs = (Doc(f"d {i}/ü", f"Title {i}", f"running foxes {i}") for i in range(1203))
    loaded = load(client, name, docs, progress=seen.append)
    assert (loaded.indexed, loaded.rejected, loaded.reasons) == (1203, 0, ())
    assert seen == list(range(1, 1204))
    assert client.count(index=name)["count"] == 1203
    # The english analyzer stems: `run` finds `running`.
    answer = client.search(index=name, body={"query": {"match": {"text": "run 7"}}, "size": 1})
    assert answer["hits"]["hits"][0]["_source"] == {"title": "Title 7", "text": "running foxes 7"}
    assert answer["hits"]["hits"][0]["_id"] == "d 7/ü"


def test_an_index_that_is_there_is_kept_unless_told_otherwise(client, name):
    load(client, name, [Doc("1", "", "one")])
    with pytest.raises(ConfigurationError, match="is there already"):
        load(client, name, [Doc("2", "", "two")])
    assert client.count(index=name)["count"] == 1
    load(client, name, [Doc("2", "", "two"), Doc("3", "", "three")], options=IndexOptions(overwrite=True))
    assert client.count(index=name)["count"] == 2


def test_rejected_documents_are_reported_and_the_rest_go_on(client, name):
    docs = [Doc("1", "", "one"), Doc("x" * 513, "", "long id"), Doc("1", "", "the same id"), Doc("", "", "no id")]
    loaded = load(client, name, [*docs, Doc("é" * 256, "", "two")])
    assert (loaded.indexed, loaded.rejected) == (2, 3)
    assert dict(loaded.reasons) == {
        "x" * 513: "the id has 513 bytes, not 1 to 512",
        "": "the id has 0 bytes, not 1 to 512",
        "1": "[1]: version conflict, document already exists (current version [1])",
    }
    assert client.get(index=name, id="1")["_source"]["text"] == "one"


def test_bm25_and_the_analyzer_are_the_callers_choice(client, name):
    load(client, name, [Doc("1", "", "foxes")], options=IndexOptions(analyzer="standard", k1=0.9, b=0.4))
    settings = client.indices.get_settings(index=name)[name]["settings"]["index"]
    assert settings["similarity"] == {"default": {"type": "BM25", "k1": "0.9", "b": "0.4"}}
    assert settings["number_of_shards"] == "1"
    assert client.count(index=name, body={"query": {"match": {"text": "fox"}}})["count"] == 0


def test_an_impossible_name_is_refused_in_the_engines_words(client):
    with pytest.raises(EngineRejected, match="must be lowercase"):
        load(client, "UPPER", [])
