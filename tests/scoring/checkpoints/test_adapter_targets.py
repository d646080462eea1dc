"""Which modules an adapter's settings name, and their values: for each rule the same as peft says."""

from __future__ import annotations

import pytest
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key

from sidecar.scoring.checkpoints.adapter_targets import is_target, unclear_targets, value_for

NAMES = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")
PATHS = [f"model.layers.{layer}.{name}" for layer in (0, 1, 2, 11) for name in NAMES]
PATHS += ["score", "layers.1.q_proj", "q_proj", "model.q_projection", "model.blocks.3.layers.1.q_proj"]

CONFIGS = [
    {"target_modules": ["q_proj", "down_proj"]},
    {"target_modules": ["model.layers.1.mlp.gate_proj", "proj"]},
    {"target_modules": r".*\.(q|k)_proj"},
    {"target_modules": "q_proj"},
    {"target_modules": ["q_proj", "o_proj"], "exclude_modules": ["layers.1.self_attn.q_proj"]},
    {"target_modules": ["q_proj", "o_proj"], "exclude_modules": r"model\.layers\.11\..*"},
    {"target_modules": r".*proj", "modules_to_save": ["score", "mlp"]},
    {"target_modules": ["q_proj"], "modules_to_save": ["q_pro"]},
    {"target_modules": ["q_proj", "score"], "modules_to_save": ["score"]},
    {"target_modules": ["q_proj"], "layers_to_transform": [1, 11]},
    {"target_modules": ["q_proj"], "layers_to_transform": 1},
    {"target_modules": ["q_proj"], "layers_to_transform": 0},
    {"target_modules": ["q_proj"], "layers_to_transform": []},
    {"target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": "layers"},
    {"target_modules": ["q_proj"], "layers_to_transform": [1, 3], "layers_pattern": ["blocks", "layers"]},
    {"target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": []},
    {"target_modules": ["model.layers.0.self_attn.q_proj", "k_proj"], "layers_to_transform": [1]},
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_the_modules_are_those_of_peft(config):
    assert unclear_targets(config) is None
    theirs = LoraConfig(**config)
    # peft answers with something that is not True for a module that is excluded.
    expected = {path for path in PATHS if check_target_module_exists(theirs, path)}
    assert {path for path in PATHS if is_target(config, path)} == expected


def test_some_modules_are_named_and_some_are_not():
    """The comparison above is of sets that are neither empty nor whole."""
    counts = [sum(is_target(config, path) for path in PATHS) for config in CONFIGS]
    assert all(0 < count < len(PATHS) for count in counts)


def test_all_linear_names_all_but_what_is_excluded_or_saved_whole():
    config = {"target_modules": "all-linear", "exclude_modules": ["q_proj"], "modules_to_save": ["score"]}
    assert {path for path in PATHS if not is_target(config, path)} == {
        path for path in PATHS if path.endswith(("q_proj", "score"))
    }


@pytest.mark.parametrize(
    "patterns",
    [
        None,
        {},
        {"q_proj": 4},
        {"layers.1.self_attn.q_proj": 4, "q_proj": 8},
        {r"layers\.(0|2)\..*": 4, ".*": 16},
        {"proj": 4, "_proj": 8},
        {"a|model.layers.11.mlp.down_proj": 4},
    ],
    ids=str,
)
def test_values_by_pattern_are_those_of_peft(patterns):
    config = {"r": 32, "rank_pattern": patterns}
    for path in PATHS:
        expected = (patterns or {}).get(get_pattern_key(list(patterns or {}), path), 32)
        assert value_for(config, "rank_pattern", path, "r") == expected, path


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({}, "the adapter names no target_modules"),
        ({"target_modules": None}, "the adapter names no target_modules"),
        ({"target_modules": []}, "the adapter names no target_modules"),
        (
            {"target_modules": "q_proj", "layers_to_transform": [0]},
            "the adapter sets layers beside a pattern of target_modules",
        ),
        (
            {"target_modules": ["q_proj"], "layers_pattern": "layers"},
            "the adapter sets layers_pattern without layers_to_transform",
        ),
    ],
)
def test_settings_that_do_not_decide_are_left_to_peft(config, reason):
    assert unclear_targets(config) == reason
