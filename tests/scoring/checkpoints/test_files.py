"""Files that a checkpoint's directory lacks are named before anything is loaded."""

from __future__ import annotations

import json

import pytest

from sidecar.core.errors import ModelError
from sidecar.scoring.checkpoints.files import INDEX, CheckpointFiles, list_checkpoint_files


def fill(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"12345")
    return folder


def test_what_is_there_is_counted(tmp_path):
    fill(tmp_path, "config.json", "tokenizer.json", "model.safetensors")
    assert list_checkpoint_files(tmp_path) == CheckpointFiles(1, 5, ())


def test_a_shard_that_the_index_names_is_missed(tmp_path):
    fill(tmp_path, "config.json", "tokenizer.model", "model-1.safetensors")
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-2.safetensors"}
    (tmp_path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    assert list_checkpoint_files(tmp_path) == CheckpointFiles(1, 5, ("model-2.safetensors",))


def test_an_empty_folder_lacks_everything(tmp_path):
    assert list_checkpoint_files(tmp_path).missing == ("config.json", "model.safetensors", "tokenizer.json")
    assert list_checkpoint_files(tmp_path, adapter=True).missing == ("adapter_config.json", "adapter_model.safetensors")


def test_a_damaged_index_is_named(tmp_path):
    (tmp_path / INDEX).write_text('{"weight_map": ')
    with pytest.raises(ModelError, match=r"index\.json is damaged"):
        list_checkpoint_files(tmp_path)
