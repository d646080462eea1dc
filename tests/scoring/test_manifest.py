from __future__ import annotations

import json

import pytest

from sidecar.candidates import Passage
from sidecar.errors import ModelError
from sidecar.scoring.manifest import Manifest, ScoreMapping, read_manifest, write_manifest
from sidecar.scoring.presets import MINILM, PLAIN_PAIR, PRESETS


@pytest.mark.parametrize(
    ("manifest", "passage", "text"),
    [
        (Manifest(), Passage("T", "p"), "document: T p"),
        (Manifest(), Passage("", "p"), "document:  p"),  # two spaces, as the card's helper writes it
        (Manifest(), Passage("T", ""), "document: T "),
        (Manifest(), Passage("", ""), "document:  "),
        (Manifest(), Passage("{passage}", "{title} {0} {{"), "document: {passage} {title} {0} {{"),
        (PLAIN_PAIR, Passage("", "p"), "p"),
        (PLAIN_PAIR, Passage("T", "p"), "T p"),
        (MINILM, Passage("T", "p"), "T p"),
    ],
)
def test_documents_are_written_as_the_template_says(manifest, passage, text):
    assert manifest.write_document(passage) == text


def test_braces_in_a_query_stay():
    assert Manifest().write_query("what is {query} and {x}?") == "query: what is {query} and {x}?"


def test_a_manifest_comes_back_as_it_was_written(tmp_path):
    manifest = Manifest(
        truncation="separate", pooling="last_slot", score_mapping=ScoreMapping(a=1.5, b=-2), note="mine"
    )
    write_manifest(manifest, tmp_path)
    assert read_manifest(tmp_path) == manifest


def test_no_file_no_manifest(tmp_path):
    assert read_manifest(tmp_path) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"poling": "last_slot"}, "'poling' is not a key of a manifest; the nearest is 'pooling'"),
        ({"pooling": "first_token"}, "first_token"),
        ({"max_length": "228"}, "max_length"),
        ({"max_length": 4}, "max_length must be >= 8"),
        ({"query_template": "query:"}, "query_template"),
        ({"document_template": "{passage} {body}"}, "document_template"),
        ({"kind": "bi-encoder"}, "pooling 'last_token' does not go with kind 'bi-encoder'"),
        ({"truncation": "separate", "max_length": 200}, "max_length must hold both sides"),
        ({"score_mapping": {"a": 1, "c": 2}}, "score_mapping"),
        ([], "array"),
    ],
)
def test_a_malformed_manifest_says_what_is_wrong(tmp_path, fields, message):
    (tmp_path / "sidecar.json").write_text(json.dumps(fields))
    with pytest.raises(ModelError, match=message) as caught:
        read_manifest(tmp_path)
    assert str(tmp_path) in caught.value.remedy


def test_a_manifest_that_is_no_json_says_so(tmp_path):
    (tmp_path / "sidecar.json").write_text("{")
    with pytest.raises(ModelError, match="is not JSON"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("score", "probability"),
    [(0.0, 0.5), (1.0, 0.8807970779778823), (-1.0, 0.11920292202211755), (1e6, 1.0), (-1e6, 0.0)],
)
def test_a_score_mapping_is_a_sigmoid(score, probability):
    assert ScoreMapping(a=2, b=0)(score) == pytest.approx(probability)


def test_the_family_is_there_under_the_ids_of_its_card():
    assert {name: preset.model for name, preset in PRESETS.items()} == {
        "minilm": "sentence-transformers/all-MiniLM-L6-v2",
        "dear-3b-ranknet-lora": "abdoelsayed/dear-3b-reranker-ranknet-lora-v1",
        "dear-3b-ce-lora": "abdoelsayed/dear-3b-reranker-ce-lora-v1",
        "dear-3b": "abdoelsayed/dear-3b-reranker-ranknet-v1",
        "dear-8b-ranknet-lora": "abdoelsayed/dear-8b-reranker-ranknet-lora-v1",
        "dear-8b": "abdoelsayed/dear-8b-reranker-ranknet-v1",
        "llama2-13b-rankllama": "abdoelsayed/llama2-13b-rankllama-teacher",
    }


def test_nobody_ran_the_big_ones_and_the_manifest_says_so():
    assert [name for name, preset in PRESETS.items() if "unverified" not in preset.manifest.note] == ["minilm"]
