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
# How a text is read, and settings of the whole model.
READING, MODEL = "sentence_bert_config.json", "config_sentence_transformers.json"
# Keys of the first that change how texts are written or cut.
WRITING = ("processing_kwargs", "query_length", "document_length", "query_expansion")
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


def check_settings(directory: Path, tokenizer: Any, manifest: Manifest | None) -> None:
    """Raise ModelError for a setting of sentence-transformers by which the same weights give other scores.

    `manifest` is that of a `sidecar.json`, which says how texts are written and cut; None if there is none.
    """
    reading, model = _object(directory / READING), _object(directory / MODEL)
    normalizer = tokenizer.backend_tokenizer.normalizer
    if reading.get("do_lower_case") and (normalizer is None or "A" in normalizer.normalize_str("A")):
        raise _unsupported(directory, "do_lower_case, and its tokenizer keeps capitals")
    if model.get("truncate_dim"):
        raise _unsupported(directory, "truncate_dim: it compares only a part of each embedding")
    if manifest is not None:
        return
    stated = next((name for name in WRITING if reading.get(name)), None)
    if stated is not None:
        raise _unsupported(directory, stated)
    if reading.get("modality_config") and "text" not in reading["modality_config"]:
        raise _unsupported(directory, "a modality_config without texts: it reads chats")
    prompt = (model.get("prompts") or {}).get(model.get("default_prompt_name") or "")
    if prompt and not (directory / POOLING).is_dir():
        raise ModelError(
            f"{directory} puts a prompt before every query, {prompt!r}.",
            remedy="Write a sidecar.json beside the weights whose query_template begins with it.",
        )


def bi_encoder_manifest(directory: Path, default_length: int = MINILM.max_length) -> Manifest:
    """Read an encoder's pooling, prompts and token limit; `default_length` is the limit if none is stated.

    Raises ModelError for a pooling or a similarity that is not supported.
    """
    pooling = _object(directory / POOLING / "config.json")
    mode = _pooling(pooling)
    if mode not in POOLINGS:
        raise ModelError(
            f"{directory} pools {mode}, neither the mean nor the first token.", remedy="No other pooling is supported."
        )
    stated = _object(directory / MODEL)
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
    limit = _object(directory / READING).get("max_seq_length")
    try:
        return msgspec.structs.replace(
            MINILM,
            max_length=limit or default_length,
            pooling=POOLINGS[mode],
            query_template=f"{query}{MINILM.query_template}",
            document_template=f"{document}{MINILM.document_template}",
        )
    except ValueError as error:
        raise ModelError(f"{directory}: {error}.", remedy="Write a sidecar.json beside the weights.") from error


def _unsupported(directory: Path, setting: str) -> ModelError:
    return ModelError(
        f"{directory} is a sentence-transformers model that sets {setting}; that is not supported.",
        remedy="Use a model without it.",
    )


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
