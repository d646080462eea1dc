"""Folders of sentence-transformers: modules, poolings and prompts are computed as it computes them, or refused."""

from __future__ import annotations

import json
import shutil

import msgspec
import pytest

from sidecar.core.errors import ModelError
from sidecar.scoring.checkpoints.manifest import Manifest, write_manifest
from sidecar.scoring.checkpoints.presets import PLAIN_PAIR
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


@pytest.fixture
def encoder(tiny_bert, tmp_path):
    """A folder as sentence-transformers 6 writes it: the tokenizer has the token limit."""
    copy = shutil.copytree(tiny_bert, tmp_path / "encoder")
    write(copy / "1_Pooling/config.json", {"pooling_mode": "mean"})
    write(copy / "sentence_bert_config.json", {"modality_config": {"text": {"method": "forward"}}})
    modules(copy, *MODULES)
    return copy


@pytest.mark.parametrize("engine", ["auto", "transformers"])
def test_the_token_limit_is_the_stated_one_or_what_tokenizer_and_positions_allow(encoder, engine):
    def limit():
        return load_scorer(str(encoder), device="cpu", engine=engine).manifest.max_length

    assert limit() == 512
    tokenizer = encoder / "tokenizer_config.json"
    write(tokenizer, json.loads(tokenizer.read_text()) | {"model_max_length": 40})
    assert limit() == 40
    write(tokenizer, json.loads(tokenizer.read_text()) | {"model_max_length": int(1e30)})
    assert limit() == 512  # the model's positions
    write(encoder / "sentence_bert_config.json", {"max_seq_length": 128, "do_lower_case": False})
    assert limit() == 128


@pytest.mark.parametrize(
    ("file", "changes", "reason"),
    [
        ("config_sentence_transformers.json", {"truncate_dim": 8}, "sets truncate_dim"),
        ("sentence_bert_config.json", {"query_length": 8}, "sets query_length"),
        ("sentence_bert_config.json", {"processing_kwargs": {"text": {"padding": "max_length"}}}, "processing_kwargs"),
        ("sentence_bert_config.json", {"modality_config": {"message": {}}}, "it reads chats"),
    ],
)
def test_a_setting_that_changes_scores_is_refused(encoder, file, changes, reason):
    write(encoder / file, changes)
    with pytest.raises(ModelError, match=reason):
        load_scorer(str(encoder), device="cpu")


def test_lower_case_needs_a_tokenizer_that_makes_it(encoder):
    write(encoder / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": True})
    assert load_scorer(str(encoder), device="cpu").manifest.max_length == 64
    tokenizer = encoder / "tokenizer_config.json"
    write(tokenizer, json.loads(tokenizer.read_text()) | {"do_lower_case": False})
    with pytest.raises(ModelError, match="do_lower_case, and its tokenizer keeps capitals"):
        load_scorer(str(encoder), device="cpu")


def test_a_prompt_of_a_classifier_is_refused_unless_a_template_says_how_queries_are_written(tiny_bert, tmp_path):
    copy = shutil.copytree(tiny_bert, tmp_path / "cross")
    stated = copy / "config_sentence_transformers.json"
    write(stated, {"prompts": {"task": "Find: ", "other": "Say: "}, "default_prompt_name": None})
    assert load_scorer(str(copy), device="cpu").manifest.query_template == "{query}"
    write(stated, {"prompts": {"task": "Find: "}, "default_prompt_name": "task"})
    with pytest.raises(ModelError, match="puts a prompt before every query, 'Find: '"):
        load_scorer(str(copy), device="cpu")
    write_manifest(msgspec.structs.replace(PLAIN_PAIR, query_template="Find: {query}"), copy)
    assert load_scorer(str(copy), device="cpu").manifest.query_template == "Find: {query}"
