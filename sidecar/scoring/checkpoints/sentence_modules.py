"""The folders of sentence-transformers: a model's modules, its pooling, and its prompts.

Only supported modules are accepted: an encoder with pooling and normalisation, or one classifier. Any other module
changes the scores, so it is refused by name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from sidecar.core.errors import ModelError
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.checkpoints.presets import MINILM

POOLING = "1_Pooling"
# Supported modules. Normalising changes no cosine, and `yes_no_head.answer_head` computes an answer's logit.
ENCODER, CLASSIFIER, ANSWER = ("Transformer", "Pooling", "Normalize"), ("Transformer",), "LogitScore"
# sentence-transformers' names of poolings, and ours.
POOLINGS = {"mean": "mean", "cls": "first_token"}
# Older configurations have a flag for each pooling.
FLAG, FLAGS = "pooling_mode_", {"cls_token": "cls", "mean_tokens": "mean"}
# Names of a prompt for passages.
DOCUMENT_PROMPTS = ("document", "passage", "corpus")


def pools_sentences(directory: Path, manifest: Manifest | None) -> bool:
    """True if a folder holds an encoder with a pooling. Raises ModelError for modules that are not supported."""
    pools = (directory / POOLING).is_dir()
    stated = manifest is not None and manifest.kind == "bi-encoder"  # its sidecar.json gives the pooling
    computed = [*(ENCODER if pools or stated else CLASSIFIER)]
    if manifest is not None and manifest.yes_token is not None:
        computed.append(ANSWER)
    for kind in _modules(directory):
        if kind not in computed:
            raise ModelError(
                f"{directory} is a sentence-transformers model with the module {kind}, which is not supported.",
                remedy=f"Bi-encoders of {', '.join(ENCODER)} and classifiers of one {CLASSIFIER[0]} are; with a "
                f"{ANSWER}, a yes_token in a sidecar.json beside the weights.",
            )
    return pools


def bi_encoder_manifest(directory: Path) -> Manifest:
    """Read an encoder's pooling, token limit and prompts.

    Raises ModelError for a pooling or a similarity that is not supported.
    """
    pooling = _object(directory / POOLING / "config.json")
    mode = _pooling(pooling)
    if mode not in POOLINGS:
        raise ModelError(
            f"{directory} pools {mode}, neither the mean nor the first token.", remedy="No other pooling is supported."
        )
    stated = _object(directory / "config_sentence_transformers.json")
    similarity = stated.get("similarity_fn_name")
    if similarity not in (None, "cosine") and "Normalize" not in _modules(directory):
        raise ModelError(
            f"{directory} compares embeddings by {similarity}; only cosines are supported.",
            remedy="Use a model that normalises its embeddings.",
        )
    query, document = _prompts(stated)
    if (query or document) and not pooling.get("include_prompt", True):
        raise ModelError(
            f"{directory} leaves its prompts out of the pooling, which is not supported.",
            remedy="Use a model without include_prompt false.",
        )
    limit = _object(directory / "sentence_bert_config.json").get("max_seq_length")
    try:
        return msgspec.structs.replace(
            MINILM,
            max_length=limit or MINILM.max_length,
            pooling=POOLINGS[mode],
            query_template=f"{query}{MINILM.query_template}",
            document_template=f"{document}{MINILM.document_template}",
        )
    except ValueError as error:
        raise ModelError(f"{directory}: {error}.", remedy="Write a sidecar.json beside the weights.") from error


def _pooling(config: dict[str, Any]) -> str:
    named = config.get("pooling_mode")
    if named is not None:
        modes = [named] if isinstance(named, str) else list(named)
    else:
        flags = {key.removeprefix(FLAG): value for key, value in config.items() if key.startswith(FLAG)}
        modes = [FLAGS.get(key, key) for key, value in flags.items() if value] if flags else ["mean"]
    return " and ".join(modes) or "nothing"


def _prompts(config: dict[str, Any]) -> tuple[str, str]:
    """Choose the prompts for a query and a passage, as `encode_query` and `encode_document` do."""
    prompts = config.get("prompts") or {}
    default = prompts.get(config.get("default_prompt_name") or "") or ""
    document = next((prompts[name] for name in DOCUMENT_PROMPTS if name in prompts), default)
    return prompts.get("query", default) or "", document or ""


def _modules(directory: Path) -> list[str]:
    listed = _read(directory / "modules.json")
    return [str(module.get("type", "")).rpartition(".")[2] for module in listed or []]


def _object(path: Path) -> dict[str, Any]:
    found = _read(path)
    return found if isinstance(found, dict) else {}


def _read(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}.", remedy="Fetch or save the model again.") from error
