"""A BERT as numpy arrays, read straight from its files: no torch, no transformers, no peft.

`read_encoder` reads only the tensors and the configuration keys that it knows, and returns None for any other
checkpoint; transformers loads that one. A LoRA is merged while it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from sidecar.scoring.checkpoints.adapter_targets import is_target
from sidecar.scoring.checkpoints.architecture import Traits, read_model_config
from sidecar.scoring.checkpoints.lora_adapter import PREFIX, WEIGHTS, is_adapter, read_config
from sidecar.scoring.checkpoints.plain_lora import merged, merges_plainly
from sidecar.scoring.checkpoints.safetensors_io import open_tensors

FILE = "model.safetensors"
# Rows of integers with one scale for each row: the format in which the package stores its weights.
SCALE = ".scale"
# Keys that change the arithmetic, and the only values that are supported here.
DECISIVE = {
    "model_type": ("bert",),
    "hidden_act": ("gelu",),
    "position_embedding_type": ("absolute", None),
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
    "tie_encoder_decoder": (False, None),
    "chunk_size_feed_forward": (0, None),
}
SIZES = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings",
    "type_vocab_size", "vocab_size", "layer_norm_eps",
)  # fmt: skip
# Keys that change no score.
SILENT = frozenset({
    "architectures", "_name_or_path", "transformers_version", "dtype", "torch_dtype", "attention_probs_dropout_prob",
    "hidden_dropout_prob", "classifier_dropout", "gradient_checkpointing", "initializer_range", "use_cache",
    "pad_token_id", "bos_token_id", "eos_token_id", "id2label", "label2id", "num_labels", "problem_type",
    "tie_word_embeddings", "directionality", "output_attentions", "output_hidden_states", "return_dict",
    "sentence_transformers",
})  # fmt: skip
# Every weight of a BERT, RoBERTa or XLM-R by its name in a classifier or a bare encoder. What computes with these alone
# can't compute a model with any other weight, such as an adapter's factors beside the weights.
WEIGHT_NAMES = re.compile(
    r"""
    ((bert|roberta)\.)?
    ( embeddings\.((word|position|token_type)_embeddings\.weight | LayerNorm\.(weight|bias))
    | encoder\.layer\.\d+\.
      ( attention\.self\.(query|key|value) | (attention\.)?output\.(dense|LayerNorm) | intermediate\.dense )
      \.(weight|bias)
    | pooler\.dense\.(weight|bias)
    )
    | classifier\.((dense|out_proj)\.)?(weight|bias)
    """,
    re.VERBOSE,
)
ATTENTION = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
_POSITION_IDS = "embeddings.position_ids"  # a buffer that old versions saved


@dataclass(frozen=True, slots=True)
class EncoderModel:
    """The weights of a BERT, RoBERTa or XLM-R by their names below the base model, in float32, and its configuration.

    A sequence classifier also has its head, under the names that transformers gives it.
    """

    config: Any
    tensors: dict[str, np.ndarray]
    traits: Traits

    @classmethod
    def of(cls, model: Any, traits: Traits) -> EncoderModel:
        """Take the weights of a transformers model; float32 weights share its memory."""
        prefix = f"{model.base_model_prefix}."
        tensors = {
            name.removeprefix(prefix): tensor.detach().float().contiguous().numpy()
            for name, tensor in model.state_dict().items()
            if tensor.is_floating_point()
        }
        return cls(model.config, tensors, traits)

    @property
    def first_position(self) -> int:
        """Return the position of the first token: RoBERTa's begin after its padding index."""
        return 0 if self.config.model_type == "bert" else int(self.config.pad_token_id) + 1


def read_encoder(directory: Path, *, classifier: bool, adapter: Path | None = None) -> EncoderModel | None:
    """Read a sentence encoder, or a classifier with one output, from its files; None for an unknown key or tensor.

    `adapter` is a LoRA to merge, which may contain the head. Raises ModelError for a damaged file.
    """
    config = _config(directory)
    if config is None or not (directory / FILE).is_file() or (directory / "model.safetensors.index.json").exists():
        return None
    tensors = _tensors(directory / FILE, skip_pooler=not classifier)
    if tensors is None:
        return None
    if adapter is not None:
        found = _with_adapter(tensors, adapter)
        if found is None:
            return None
        tensors = found
    expected = dict(_shapes(config, classifier=classifier))
    if {name: tensor.shape for name, tensor in tensors.items()} != expected:
        return None
    architecture = "BertForSequenceClassification" if classifier else "BertModel"
    segments = config.type_vocab_size > 1
    return EncoderModel(config, tensors, Traits(architecture, False, segments, config.max_position_embeddings))


def _config(directory: Path) -> Any:
    config = read_model_config(directory)
    if set(SIZES) - config.keys():
        return None
    known = not config.keys() - DECISIVE.keys() - set(SIZES) - SILENT
    plain = all(config.get(key) in values for key, values in DECISIVE.items())
    if not known or not plain or len(config.get("id2label") or "1") != 1:
        return None
    return SimpleNamespace(**(dict.fromkeys(DECISIVE) | config), is_encoder_decoder=False)


def _tensors(path: Path, *, skip_pooler: bool) -> dict[str, np.ndarray] | None:
    """Read the tensors by their names below the base model; None if one is neither a float nor scaled integers."""
    found: dict[str, np.ndarray] = {}
    with open_tensors(path, framework="numpy") as file:
        names = set(file.keys())
        for name in names:
            bare = name.removeprefix("bert.")
            is_scale = name.endswith(SCALE) and name.removesuffix(SCALE) in names
            if bare == _POSITION_IDS or is_scale or (skip_pooler and bare.startswith("pooler.")):
                continue
            if bare in found or file.get_slice(name).get_dtype() not in ("F32", "F16", "I8"):
                return None
            array = file.get_tensor(name)
            if array.dtype == np.int8:
                if name + SCALE not in names:
                    return None
                array = array * file.get_tensor(name + SCALE).astype(np.float32)[:, None]
            found[bare] = np.ascontiguousarray(array, dtype=np.float32)
    return found


def _with_adapter(tensors: dict[str, np.ndarray], adapter: Path) -> dict[str, np.ndarray] | None:
    if not is_adapter(adapter) or not merges_plainly(config := read_config(adapter)):
        return None
    with open_tensors(adapter / WEIGHTS, framework="numpy") as file:
        names = list(file.keys())
        if any(file.get_slice(name).get_dtype() not in ("F32", "F16") for name in names):
            return None
        adapted = {path for path, lora, _ in (name.removeprefix(PREFIX).partition(".lora_") for name in names) if lora}
        if adapted != {path for path in _linear_modules(tensors) if is_target(config, path)}:
            return None  # settings and tensors contradict each other, or the base is another one: peft reports it
        factors = {name.removeprefix(PREFIX).removeprefix("bert."): file.get_tensor(name) for name in names}
    return merged(tensors, factors, config)


def _linear_modules(tensors: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Name the modules with a matrix as transformers does in a classifier."""
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and not name.startswith("embeddings."):
            path = name.removesuffix(".weight")
            yield path if path == "classifier" else f"bert.{path}"


def _shapes(config: Any, *, classifier: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name every tensor that the checkpoint must hold, and its shape."""
    width, inner = config.hidden_size, config.intermediate_size
    for table, rows in (
        ("word_embeddings", config.vocab_size),
        ("position_embeddings", config.max_position_embeddings),
        ("token_type_embeddings", config.type_vocab_size),
    ):
        yield f"embeddings.{table}.weight", (rows, width)
    yield from _norm("embeddings.LayerNorm", width)
    for index in range(config.num_hidden_layers):
        layer = f"encoder.layer.{index}"
        for part in ATTENTION:
            yield from _linear(f"{layer}.{part}", width, width)
        yield from _norm(f"{layer}.attention.output.LayerNorm", width)
        yield from _linear(f"{layer}.intermediate.dense", inner, width)
        yield from _linear(f"{layer}.output.dense", width, inner)
        yield from _norm(f"{layer}.output.LayerNorm", width)
    if classifier:
        yield from _linear("pooler.dense", width, width)
        yield from _linear("classifier", 1, width)


def _linear(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)
