"""BERT's tokenizer without transformers: the same ids, or not read at all."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from sidecar.core.candidates import Passage
from sidecar.scoring.checkpoints.bundled_weights import find_embedded
from sidecar.scoring.checkpoints.plain_tokenizer import read_tokenizer
from sidecar.scoring.checkpoints.presets import MINILM, PLAIN_PAIR
from sidecar.scoring.prompt import Prompt

NEEDED = ("tokenizer.json", "tokenizer_config.json")


@pytest.fixture(scope="module")
def both():
    directory = find_embedded()
    return read_tokenizer(directory), AutoTokenizer.from_pretrained(directory)


@pytest.fixture
def copy(tmp_path):
    for name in NEEDED:
        shutil.copy(find_embedded() / name, tmp_path / name)
    return tmp_path


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(max_size=40), title=st.text(max_size=20), text=st.text(max_size=200))
def test_ids_and_segments_equal_transformers(both, query, title, text):
    for manifest in (MINILM, PLAIN_PAIR):
        ours, theirs = (Prompt(tokenizer, manifest) for tokenizer in both)
        passages = [Passage(title, text), Passage("", "Straße, naïve café [SEP] 中文 don't ½ \u0130 ﬁ")]
        assert ours.pairs(query, passages) == theirs.pairs(query, passages)
        assert ours.passages(passages) == theirs.passages(passages)


def test_what_engines_ask_of_it_equals_transformers(both):
    ours, theirs = both
    for name in ("pad_token_id", "bos_token_id", "eos_token_id", "truncation_side", "model_max_length", "is_fast"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert list(ours.model_input_names) == list(theirs.model_input_names)


@pytest.mark.parametrize(
    "changes",
    [
        {"do_lower_case": False},
        {"strip_accents": False},
        {"tokenize_chinese_chars": False},
        {"tokenizer_class": "DistilBertTokenizer"},
        {"sep_token": "[END]"},
        {"truncation_side": "left"},
        {"additional_special_tokens": ["[NEW]"]},
        {"a_key_of_tomorrow": 1},
    ],
)
def test_a_configuration_that_says_otherwise_is_left_to_transformers(copy, changes):
    assert read_tokenizer(copy) is not None
    path = copy / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert read_tokenizer(copy) is None


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("normalizer", None),
        ("pre_tokenizer", {"type": "Whitespace"}),
        ("post_processor", None),
        ("added_tokens", []),
        ("model", {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "vocab": {}}),
    ],
)
def test_a_tokenizer_of_other_parts_is_left_to_transformers(copy, part, value):
    path = copy / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {part: value}))
    assert read_tokenizer(copy) is None


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_file_that_is_absent_or_damaged_is_left_to_transformers(copy, name, content):
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_text(content)
    assert read_tokenizer(copy) is None
