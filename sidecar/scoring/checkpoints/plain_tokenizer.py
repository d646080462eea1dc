"""Read BERT's tokenizer by the tokenizers library alone, if the files describe the one that transformers would build.

transformers builds a BERT tokenizer from the vocabulary and the configuration, and ignores the corresponding parts of
`tokenizer.json`. So a file is read here only if both agree; transformers loads every other tokenizer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CLASSES = ("BertTokenizer", "BertTokenizerFast")
SPECIAL = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
WORD_PIECE = {
    "type": "WordPiece",
    "unk_token": "[UNK]",
    "continuing_subword_prefix": "##",
    "max_input_chars_per_word": 100,
}
# Options of an added token that are not supported here.
FLAGS = ("single_word", "lstrip", "rstrip", "normalized")
# Configuration that changes the ids, and transformers' defaults for it.
DECISIVE = {"do_lower_case": True, "tokenize_chinese_chars": True, "strip_accents": None, "clean_text": True}
PLAIN: dict[str, tuple[Any, ...]] = {
    "do_basic_tokenize": (True,),
    "never_split": (None, []),
    "truncation_side": ("right",),
    "padding_side": ("right",),
    "add_prefix_space": (False, None),
    "additional_special_tokens": (None, []),
    "model_input_names": (["input_ids", "token_type_ids", "attention_mask"],),
}
# The prompt does padding and truncation; names have no effect.
SILENT = frozenset({
    "tokenizer_class", "model_max_length", "name_or_path", "clean_up_tokenization_spaces", "special_tokens_map_file",
    "added_tokens_decoder", "max_length", "stride", "truncation_strategy", "pad_to_multiple_of", "pad_token_type_id",
    "is_local", "local_files_only", "backend", "extra_special_tokens", "processor_class",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlainTokenizer:
    """The part of a tokenizer that a prompt and an engine use, by transformers' names."""

    backend_tokenizer: Tokenizer
    model_max_length: int
    pad_token_id: int
    vocabulary: int
    eos_token_id: None = None
    bos_token_id: None = None
    truncation_side: str = "right"
    is_fast: bool = True
    model_input_names: tuple[str, ...] = ("input_ids", "token_type_ids", "attention_mask")


def read_tokenizer(directory: Path) -> PlainTokenizer | None:
    """Read a BERT tokenizer; None for anything else."""
    try:
        stated = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
        config = json.loads((directory / "tokenizer_config.json").read_text(encoding="utf-8"))
        if not _is_plain(config) or not _agrees(stated, config):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(directory / "tokenizer.json"))
    limit = config.get("model_max_length")
    return PlainTokenizer(
        backend,
        int(limit) if limit else 10**30,
        stated["model"]["vocab"][SPECIAL["pad_token"]],
        backend.get_vocab_size(),
    )


def _is_plain(config: dict[str, Any]) -> bool:
    if config.get("tokenizer_class") not in CLASSES or config.get("extra_special_tokens"):
        return False
    if config.keys() - SPECIAL.keys() - DECISIVE.keys() - PLAIN.keys() - SILENT:
        return False
    specials = all(_content(config.get(name, token)) == token for name, token in SPECIAL.items())
    return specials and all(config[key] in values for key, values in PLAIN.items() if key in config)


def _agrees(stated: dict[str, Any], config: dict[str, Any]) -> bool:
    """True if `tokenizer.json` holds exactly the parts of which BERT's tokenizer is built."""
    wanted = {key: config.get(key, default) for key, default in DECISIVE.items()}
    normalizer = {
        "type": "BertNormalizer",
        "clean_text": wanted["clean_text"],
        "handle_chinese_chars": wanted["tokenize_chinese_chars"],
        "strip_accents": wanted["strip_accents"],
        "lowercase": wanted["do_lower_case"],
    }
    model = {key: value for key, value in stated["model"].items() if key != "vocab"}
    ids = {token: stated["model"]["vocab"].get(token) for token in SPECIAL.values()}
    added, around = stated["added_tokens"], stated["post_processor"]
    return (
        stated["normalizer"] == normalizer
        and stated["pre_tokenizer"] == {"type": "BertPreTokenizer"}
        and model == WORD_PIECE
        and None not in ids.values()
        and {token["content"]: token["id"] for token in added} == ids
        and not any(token[flag] for token in added for flag in FLAGS)
        and around["type"] == "TemplateProcessing"
        and around["single"] == _template(("[CLS]", 0), ("A", 0), ("[SEP]", 0))
        and around["pair"] == _template(("[CLS]", 0), ("A", 0), ("[SEP]", 0), ("B", 1), ("[SEP]", 1))
    )


def _template(*parts: tuple[str, int]) -> list[dict[str, Any]]:
    return [{"SpecialToken" if name[0] == "[" else "Sequence": {"id": name, "type_id": kind}} for name, kind in parts]


def _content(token: Any) -> Any:
    return token.get("content") if isinstance(token, dict) else token
