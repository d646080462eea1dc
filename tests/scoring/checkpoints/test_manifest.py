from __future__ import annotations

import json

import pytest

from sidecar.core.candidates import Passage
from sidecar.core.errors import ModelError
from sidecar.core.fusion import Fusion, Method, Normalization
from sidecar.scoring.checkpoints.manifest import (
    Manifest,
    PreferredFusion,
    ScoreMapping,
    read_manifest,
    write_manifest,
)
from sidecar.scoring.checkpoints.presets import MINILM, PLAIN_PAIR, PRESETS, QWEN3


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
        (QWEN3, Passage("T", "p"), "<Document>: T p"),
        (QWEN3, Passage("", "p"), "<Document>: p"),
        (QWEN3, Passage("T", ""), "<Document>: T"),
    ],
)
def test_documents_are_written_as_the_template_says(manifest, passage, text):
    assert manifest.write_document(passage) == text


def test_braces_in_a_query_stay():
    assert Manifest().write_query("what is {query} and {x}?") == "query: what is {query} and {x}?"


def test_a_manifest_comes_back_as_it_was_written(tmp_path):
    manifest = Manifest(
        truncation="separate",
        pooling="last_slot",
        fusion=PreferredFusion(Method.LINEAR, Normalization.Z_SCORE, 0.7),
        score_mapping=ScoreMapping(a=1.5, b=-2),
        note="mine",
    )
    write_manifest(manifest, tmp_path)
    assert read_manifest(tmp_path) == manifest


def test_a_manifest_is_written_whole_or_not_at_all(tmp_path):
    write_manifest(Manifest(note="before"), tmp_path)
    before = (tmp_path / "sidecar.json").read_bytes()
    with pytest.raises(UnicodeEncodeError):
        write_manifest(Manifest(note="half a pair: \ud800"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["sidecar.json"]
    assert (tmp_path / "sidecar.json").read_bytes() == before


def test_a_fusion_is_the_models_own_or_none(tmp_path):
    assert Manifest().preferred_fusion == Fusion(Method.RERANK)
    (tmp_path / "sidecar.json").write_text('{"fusion": {"weight": 0.8}}')
    assert read_manifest(tmp_path).preferred_fusion == Fusion(Method.LINEAR, Normalization.MIN_MAX, 0.8)
    assert {name: preset.manifest.fusion for name, preset in PRESETS.items() if preset.manifest.fusion} == {}


def test_no_file_no_manifest(tmp_path):
    assert read_manifest(tmp_path) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"poling": "last_slot"}, "'poling' is not a key of a manifest; the nearest is 'pooling'"),
        ({"pooling": "first_token"}, "first_token"),
        ({"pooling": "cls"}, r"'cls'.*\. One of last_token, last_slot, mean, first_token, model\.\n"),
        ({"max_length": "228"}, "max_length"),
        ({"max_length": 4}, "max_length must be >= 8"),
        ({"query_template": "query:"}, "query_template"),
        ({"document_template": "{passage} {body}"}, "document_template"),
        ({"kind": "bi-encoder"}, "pooling 'last_token' does not go with kind 'bi-encoder'"),
        ({"truncation": "separate", "max_length": 200}, "max_length must fit both sides"),
        ({"score_mapping": {"a": 1, "c": 2}}, "score_mapping"),
        ({"score_mapping": {"a": 0, "b": 2}}, "score_mapping must rise"),
        ({"score_mapping": {"a": -1, "b": 2}}, "score_mapping must rise"),
        ({"fusion": {"weight": 1.5}}, "the fusion weight is 1.5"),
        ({"fusion": {"method": "rrf"}}, "must be rerank or a mean of scores, not rrf"),
        ({"fusion": {"method": "best"}}, "fusion.method"),
        ({"fusion": {"method": "geometric", "normalization": "z_score"}}, "a geometric mean is not defined"),
        ({"fusion": {"share": 0.5}}, "fusion"),
        ({"prefix": "<|im_start|>"}, "suffix need truncation body or sides"),
        ({"between": "\n"}, "between needs truncation sides"),
        ({"truncation": "body", "between": "\n"}, "between needs truncation sides"),
        ({"truncation": "sides", "pooling": "model"}, "truncation sides is for decoders"),
        ({"truncation": "body", "pooling": "last_slot"}, "truncation body is for decoders"),
        ({"truncation": "body", "strip": True}, "without strip"),
        ({"no_token": "no"}, "no_token needs a yes_token that differs from it"),
        ({"yes_token": "yes", "no_token": "yes"}, "differs from it"),
        ({"yes_token": "yes", "no_token": "no", "pooling": "model"}, "yes_token is for causal models"),
        ({"instruction": "judge"}, "need each other"),
        ({"query_template": "{instruction} {query}"}, "need each other"),
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


def test_the_presets_are_there_under_the_ids_of_their_cards():
    assert {name: preset.model for name, preset in PRESETS.items()} == {
        "minilm": "sentence-transformers/all-MiniLM-L6-v2",
        "dear-3b-ranknet-lora": "abdoelsayed/dear-3b-reranker-ranknet-lora-v1",
        "dear-3b-ce-lora": "abdoelsayed/dear-3b-reranker-ce-lora-v1",
        "dear-3b": "abdoelsayed/dear-3b-reranker-ranknet-v1",
        "dear-8b-ranknet-lora": "abdoelsayed/dear-8b-reranker-ranknet-lora-v1",
        "dear-8b": "abdoelsayed/dear-8b-reranker-ranknet-v1",
        "dear-3b-ce": "abdoelsayed/dear-3b-reranker-ce-v1",
        "dear-8b-ce": "abdoelsayed/dear-8b-reranker-ce-v1",
        "dear-8b-ce-lora": "abdoelsayed/dear-8b-reranker-ce-lora-v1",
        "llama2-13b-rankllama": "abdoelsayed/llama2-13b-rankllama-teacher",
        "bge-small": "BAAI/bge-small-en-v1.5",
        "e5-small": "intfloat/e5-small-v2",
        "multilingual-e5-small": "intfloat/multilingual-e5-small",
        "ms-marco-minilm": "cross-encoder/ms-marco-MiniLM-L6-v2",
        "bge-reranker-v2-m3": "BAAI/bge-reranker-v2-m3",
        "gte-reranker-modernbert": "Alibaba-NLP/gte-reranker-modernbert-base",
        "mxbai-rerank-base": "mixedbread-ai/mxbai-rerank-base-v1",
        "qwen3-reranker-0.6b": "Qwen/Qwen3-Reranker-0.6B",
        "qwen3-reranker-4b": "Qwen/Qwen3-Reranker-4B",
        "qwen3-reranker-8b": "Qwen/Qwen3-Reranker-8B",
        "mxbai-rerank-base-v2": "mixedbread-ai/mxbai-rerank-base-v2",
        "mxbai-rerank-large-v2": "mixedbread-ai/mxbai-rerank-large-v2",
        "nemotron-rerank-1b-v2": "nvidia/llama-nemotron-rerank-1b-v2",
    }


def test_what_nobody_ran_says_so_in_its_manifest():
    assert [name for name, preset in PRESETS.items() if "unverified" not in preset.manifest.note] == [
        "minilm",
        "bge-small",
    ]
