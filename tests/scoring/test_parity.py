"""Every architecture, every setting of an adapter, every engine: as plain transformers and peft, or refused.

There is no third outcome. The soak takes every setting with every architecture; without it, Llama and BERT get all
settings, GPT-2 those that concern its layers, Gemma 3 those that are packed, and the others the common ones.
"""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification

from sidecar.core.candidates import Passage
from sidecar.core.errors import ConfigurationError, ModelError
from sidecar.scoring.adapter_registry import AdapterRegistry
from sidecar.scoring.checkpoints.checkpoint import Placement
from sidecar.scoring.checkpoints.quiet import quiet_libraries
from sidecar.scoring.loading import load_scorer
from tests.support.models.tiny_zoo import DECODERS, ENCODERS, SETTINGS, build_adapter, build_base
from tests.support.models.values import values

FP32 = 1e-5
QUERY = "which passage holds the words"
PASSAGES = [Passage("", "word " * 3), Passage("A title", "the index returns every passage " * 4), Passage("", "")]
ENGINES = ("packed", "transformers", "openvino")
OPENVINO = ("bert", "roberta", "xlm-roberta")
PACKED = ("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text")
PACKED_ENCODERS = (*OPENVINO, "modernbert")
COMMON = ("plain", "dora", "embeddings", "no head")
FACTORS = tuple(kind for kind, setting in SETTINGS.items() if setting.factors)
OF_CONV1D = (*COMMON, "pissa", "olora", "bias all", "lora bias", "fan in", "tokens")
TESTED = {
    "llama": tuple(SETTINGS),
    "bert": tuple(SETTINGS),
    "gpt2": OF_CONV1D,
    "gemma3_text": tuple(dict.fromkeys((*COMMON, *FACTORS))),
}
# What peft itself makes no adapter of: layers of one kind alone can be repeated, a head of two layers has no factors …
NOT_MADE = {
    "layers twice": {*DECODERS, *ENCODERS} - {*PACKED, "bert", "modernbert"},
    "head": {"roberta", "xlm-roberta", "camembert", "electra", "mpnet"},
    "kasa": {"gpt2"},
    "layer 1": {"albert"},
    "all linear": {"distilbert"},
}
# What is kept beside the base, unmerged, which only transformers computes.
BESIDE = ("lora bias", "layers twice", "kasa", "velora", "monteclora", "tied")
# What peft makes and can't compute with: it takes a Conv1D's weight the wrong way round, and repeats layers without
# the types that these models look up by a layer's number. ModernBERT's layers know their own type.
BROKEN = {"olora": {"gpt2"}, "layers twice": {"qwen2", "qwen3", "gemma2", "gemma3_text"}}


@pytest.fixture(scope="module")
def totals(record_testsuite_property):
    """Count outcomes by engine, for the report that `--junitxml` writes."""
    counted: Counter[str] = Counter()
    yield counted
    for outcome, number in sorted(counted.items()):
        record_testsuite_property(outcome, number)


@torch.inference_mode()
def plain(model, scorer):
    """Score one pair at a time, from the token ids that the scorer made."""
    found = []
    for pair in scorer.prompt.pairs(QUERY, PASSAGES):
        types = {} if pair.types is None else {"token_type_ids": torch.tensor([pair.types])}
        found.append(model(input_ids=torch.tensor([pair.ids]), **types).logits.item())
    return found


def reads(engine, name, setting):
    """Whether an engine claims to compute an adapter of an architecture; the setting may be None."""
    if engine == "packed" and name not in PACKED_ENCODERS:
        return name in PACKED and (setting is None or setting.factors)
    beside = setting in [SETTINGS[kind] for kind in BESIDE]
    computed = {"packed": PACKED_ENCODERS, "openvino": OPENVINO}
    return engine == "transformers" or (name in computed[engine] and not beside)


def check(name, setting, directory, reference, *, refused=""):
    counted: Counter[str] = Counter()
    for engine in ENGINES:
        if engine == "openvino" and name not in OPENVINO and setting is not None:
            continue  # its architecture is refused whatever the adapter; that of the base says so
        options = {"device": "cpu", "dtype": "float32", "engine": engine}
        if refused:
            with pytest.raises((ModelError, ConfigurationError), match=None if engine == "packed" else refused):
                load_scorer(str(directory), **options)
            counted[f"{engine}: refused, as by all"] += 1
        elif not reads(engine, name, setting):
            with pytest.raises(ConfigurationError, match="can't (run|compute)"):
                load_scorer(str(directory), **options)
            counted[f"{engine}: left to transformers"] += 1
        else:
            scorer = load_scorer(str(directory), **options)
            assert scorer.engine_name == engine
            assert values(scorer, QUERY, PASSAGES) == pytest.approx(plain(reference, scorer), abs=FP32), engine
            counted[f"{engine}: equal"] += 1
    return counted


def sweep(name, settings, folder, *, stored=torch.float32):
    """Check the settings named, None for the base alone, and count the outcomes."""
    directory = build_base(name, folder / "base", dtype=stored)
    with quiet_libraries():
        base = AutoModelForSequenceClassification.from_pretrained(str(directory), dtype=torch.float32).eval()
    counted: Counter[str] = Counter()
    for kind in settings:
        if kind is None:
            counted += check(name, None, directory, base)
            continue
        if name in NOT_MADE.get(kind, ()):
            with pytest.raises((ValueError, TypeError)):
                build_adapter(base, folder / kind, SETTINGS[kind])
            counted["not made by peft"] += 1
            continue
        adapter = build_adapter(base, folder / kind, SETTINGS[kind])
        reference, refused = None, SETTINGS[kind].refused
        if name in BROKEN.get(kind, ()):
            refused = "peft can't put the adapter"
        if not refused:
            with quiet_libraries():
                reference = PeftModel.from_pretrained(copy.deepcopy(base), str(adapter)).eval()
        counted += check(name, SETTINGS[kind], adapter, reference, refused=refused)
    return counted


@pytest.mark.parametrize("name", [*DECODERS, *ENCODERS])
def test_equal_to_plain_transformers_and_peft_or_refused(name, tmp_path, totals):
    totals.update(sweep(name, (None, *TESTED.get(name, COMMON)), tmp_path))


@pytest.mark.parametrize(("name", "settings"), [("llama", SETTINGS), ("bert", COMMON), ("modernbert", COMMON)])
def test_a_base_stored_in_bf16_rounds_nothing_of_an_adapter_in_float32(name, settings, tmp_path):
    sweep(name, (None, *settings), tmp_path, stored=torch.bfloat16)


@pytest.mark.soak
@pytest.mark.parametrize("name", [*DECODERS, *ENCODERS])
def test_the_same_for_every_setting(name, tmp_path, totals):
    totals.update(sweep(name, [kind for kind in SETTINGS if kind not in TESTED.get(name, COMMON)], tmp_path))


@pytest.mark.parametrize(("name", "settings"), [("llama", SETTINGS), ("gemma3_text", FACTORS)])
def test_what_a_registry_takes_is_what_the_packed_engine_merges(name, settings, tmp_path):
    directory = build_base(name, tmp_path / "base")
    base = AutoModelForSequenceClassification.from_pretrained(str(directory)).eval()
    registry = AdapterRegistry(directory, Placement("cpu"))
    for kind in settings:
        adapter = build_adapter(base, tmp_path / kind, SETTINGS[kind])
        if not SETTINGS[kind].factors:
            with pytest.raises(ModelError, match="can't be switched to: the adapter"):
                registry.load(kind, adapter)
            continue
        registry.load(kind, adapter)
        with quiet_libraries():
            reference = PeftModel.from_pretrained(copy.deepcopy(base), str(adapter)).eval()
        scorer = registry.scorer(kind)
        assert values(scorer, QUERY, PASSAGES) == pytest.approx(plain(reference, scorer), abs=FP32), kind
