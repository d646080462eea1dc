"""Folders of sentence-transformers: modules, poolings and prompts are computed as it computes them, or refused."""

from __future__ import annotations

import json
import shutil

import pytest

from sidecar.core.errors import ModelError
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.checkpoints.sentence_modules import bi_encoder_manifest, pools_sentences
from sidecar.scoring.loading import load_scorer

MODULES = "sentence_transformers.base.modules.transformer.Transformer", "sentence_transformers.models.Pooling"


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def modules(directory, *kinds):
    write(directory / "modules.json", [{"idx": index, "type": kind} for index, kind in enumerate(kinds)])


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "first_token"),
        ({"pooling_mode": "cls", "embedding_dimension": 3}, "first_token"),
        ({"pooling_mode": ["mean"]}, "mean"),
    ],
)
def test_pooling_is_read_in_the_old_and_the_new_form(tmp_path, config, pooling):
    write(tmp_path / "1_Pooling/config.json", config)
    assert bi_encoder_manifest(tmp_path).pooling == pooling


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"pooling_mode": "max"}, "max"),
        ({"pooling_mode": ["cls", "mean"]}, "cls and mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "cls and mean"),
        ({"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}, "lasttoken"),
        ({"pooling_mode_mean_tokens": False}, "nothing"),
    ],
)
def test_other_poolings_are_refused(tmp_path, config, named):
    write(tmp_path / "1_Pooling/config.json", config)
    with pytest.raises(ModelError, match=f"pools {named}, neither the mean nor the first token"):
        bi_encoder_manifest(tmp_path)


def test_prompts_go_before_the_texts(tmp_path):
    write(tmp_path / "1_Pooling/config.json", {"pooling_mode": "mean"})
    stated = tmp_path / "config_sentence_transformers.json"
    write(stated, {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": None})
    manifest = bi_encoder_manifest(tmp_path)
    assert (manifest.query_template, manifest.document_template) == ("query: {query}", "passage: {title} {passage}")
    write(stated, {"prompts": {"task": "Retrieve: "}, "default_prompt_name": "task"})
    assert bi_encoder_manifest(tmp_path).query_template == "Retrieve: {query}"
    write(tmp_path / "1_Pooling/config.json", {"pooling_mode": "mean", "include_prompt": False})
    with pytest.raises(ModelError, match="leaves its prompts out of the pooling"):
        bi_encoder_manifest(tmp_path)


def test_another_similarity_needs_normalised_embeddings(tmp_path):
    write(tmp_path / "1_Pooling/config.json", {"pooling_mode": "mean"})
    write(tmp_path / "config_sentence_transformers.json", {"similarity_fn_name": "dot"})
    modules(tmp_path, *MODULES)
    with pytest.raises(ModelError, match="compares embeddings by dot"):
        bi_encoder_manifest(tmp_path)
    modules(tmp_path, *MODULES, "sentence_transformers.models.Normalize")
    assert bi_encoder_manifest(tmp_path).pooling == "mean"


def test_a_module_that_is_not_computed_is_named(tiny_bert, tmp_path):
    (tmp_path / "1_Pooling").mkdir()
    modules(tmp_path, *MODULES, "sentence_transformers.models.Dense")
    with pytest.raises(ModelError, match="the module Dense, which is not supported"):
        pools_sentences(tmp_path, None)
    copy = shutil.copytree(tiny_bert, tmp_path / "cross")
    modules(copy, MODULES[0])
    assert load_scorer(str(copy), device="cpu").manifest.kind == "cross-encoder"
    answer = "sentence_transformers.cross_encoder.modules.logit_score.LogitScore"
    modules(copy, MODULES[0], answer)
    with pytest.raises(ModelError, match="the module LogitScore, which is not supported"):
        load_scorer(str(copy), device="cpu")
    answers = Manifest(yes_token="yes", no_token="no")
    assert not pools_sentences(copy, answers)
