"""Cross-encoders to measure with if no trained one is at hand: with a head drawn by seed, or random weights of a shape.

Sources of the shapes: the `config.json` of meta-llama/Llama-3.2-3B and meta-llama/Llama-3.1-8B, and for encoders of
google-bert/bert-base-uncased, BAAI/bge-reranker-v2-m3 and answerdotai/ModernBERT-base.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, LlamaConfig

from sidecar.scoring.checkpoints.bundled_weights import find_embedded
from sidecar.scoring.checkpoints.checkpoint import Checkpoint, Placement, load_tokenizer, load_untrained
from sidecar.scoring.checkpoints.manifest import Manifest, write_manifest
from sidecar.scoring.checkpoints.quiet import quiet_libraries

_LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
SHAPES: dict[str, dict[str, Any]] = {
    "3b": {
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
        "rope_parameters": {**_LLAMA3, "factor": 32.0, "original_max_position_embeddings": 8192},
    },
    "8b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "rope_parameters": {**_LLAMA3, "factor": 8.0, "original_max_position_embeddings": 8192},
    },
}
ENCODER_SHAPES: dict[str, dict[str, Any]] = {
    "bert-base": {
        "model_type": "bert", "vocab_size": 30522, "hidden_size": 768, "intermediate_size": 3072,
        "num_hidden_layers": 12, "num_attention_heads": 12, "max_position_embeddings": 512, "type_vocab_size": 2,
    },
    "xlm-roberta-large": {
        "model_type": "xlm-roberta", "vocab_size": 250002, "hidden_size": 1024, "intermediate_size": 4096,
        "num_hidden_layers": 24, "num_attention_heads": 16, "max_position_embeddings": 8194, "type_vocab_size": 1,
    },
    "modernbert-base": {
        "model_type": "modernbert", "vocab_size": 50368, "hidden_size": 768, "intermediate_size": 1152,
        "num_hidden_layers": 22, "num_attention_heads": 12, "max_position_embeddings": 8192,
        "global_attn_every_n_layers": 3, "local_attention": 128,
    },
}  # fmt: skip
# The parts of a shape that a skeleton keeps: enough for any library to load it before it gets the weights.
_SKELETON = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
# Pairs are read like those of the DeAR cards.
ENCODER_MANIFEST = Manifest(pooling="model", note="its head is drawn at random: for measuring, not for use")


def embedded_classifier(*, seed: int, device: torch.device, dtype: torch.dtype) -> Checkpoint:
    """Make a cross-encoder of the embedded model; `seed` draws its head."""
    torch.manual_seed(seed)
    placement = Placement(str(device), str(dtype).removeprefix("torch."))
    model, _ = load_untrained(find_embedded(), placement)
    return Checkpoint("e5-small with a random head", model.to(device).eval(), _tokenizer(), ENCODER_MANIFEST)


def random_llama(shape: str, *, seed: int, device: torch.device, dtype: torch.dtype) -> Checkpoint:
    """Make a Llama of a real shape with weights drawn by `seed` on the device itself.

    Its tokenizer is the embedded one, which needs no licence: texts have about as many tokens as with Llama's own,
    and all of its ids are in the vocabulary.
    """
    config = LlamaConfig(num_labels=1, **SHAPES[shape])
    return random_classifier(f"Llama {shape}, random weights", config, seed=seed, device=device, dtype=dtype)


def random_encoder(shape: str, *, seed: int, device: torch.device, dtype: torch.dtype) -> Checkpoint:
    """Make an encoder of a real shape with weights drawn by `seed`, and the embedded tokenizer."""
    name, config = f"{shape}, random weights", encoder_config(shape)
    return random_classifier(name, config, seed=seed, device=device, dtype=dtype, manifest=ENCODER_MANIFEST)


def encoder_config(shape: str, **changes: int) -> Any:
    """Return transformers' configuration of an encoder's shape, with some sizes changed."""
    sizes = ENCODER_SHAPES[shape] | changes
    return AutoConfig.for_model(sizes.pop("model_type"), num_labels=1, **sizes)


def random_classifier(  # noqa: PLR0913  what a model is drawn from, by keyword
    name: str,
    config: Any,
    *,
    seed: int,
    device: torch.device,
    dtype: torch.dtype,
    manifest: Manifest | None = None,
) -> Checkpoint:
    """Make a model of transformers' configuration with weights drawn by `seed`, and the embedded tokenizer."""
    tokenizer = _tokenizer(segments=getattr(config, "type_vocab_size", 1) > 1)
    config.pad_token_id = tokenizer.pad_token_id
    model = _draw(config, seed=seed, device=device, dtype=dtype)
    return Checkpoint(name, model, tokenizer, manifest or Manifest())


def save(checkpoint: Checkpoint, directory: Path) -> None:
    """Save model, tokenizer and manifest, so that any library loads the same model.

    The tokenizer cuts at the manifest's limit by itself, for libraries without an option for it; a setting makes
    sentence-transformers leave the logits unchanged.
    """
    checkpoint.model.config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
    tokenizer, limit = checkpoint.tokenizer, checkpoint.tokenizer.model_max_length
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if checkpoint.model.config.pad_token_id is None:
        checkpoint.model.config.pad_token_id = tokenizer.pad_token_id
    tokenizer.model_max_length = checkpoint.manifest.max_length
    with quiet_libraries():
        checkpoint.model.save_pretrained(str(directory))
        tokenizer.save_pretrained(str(directory))
    tokenizer.model_max_length = limit
    write_manifest(checkpoint.manifest, directory)


def save_skeleton(checkpoint: Checkpoint, directory: Path) -> None:
    """Save a tiny model of the same class with the same tokenizer, for libraries that only load from a directory.

    After loading, they get the checkpoint's own model: its weights are too large for one copy each.
    """
    config = LlamaConfig(**{**checkpoint.model.config.to_dict(), **_SKELETON})
    dwarf = _draw(config, seed=0, device=torch.device("cpu"), dtype=torch.float32)
    save(Checkpoint(checkpoint.name, dwarf, checkpoint.tokenizer, checkpoint.manifest), directory)


def _draw(config: Any, *, seed: int, device: torch.device, dtype: torch.dtype) -> Any:
    torch.manual_seed(seed)
    with device, quiet_libraries():
        model = AutoModelForSequenceClassification.from_config(config, dtype=dtype)
    return model.eval().requires_grad_(requires_grad=False)


def _tokenizer(*, segments: bool = True) -> Any:
    tokenizer = load_tokenizer(find_embedded())
    if not segments:
        # The attribute is used here, the argument is saved.
        tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = ["input_ids", "attention_mask"]
    return tokenizer
