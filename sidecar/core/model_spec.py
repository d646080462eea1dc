"""A model as settings, requests and processes name it: everything that loading it needs, as plain values."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from sidecar.core.errors import ConfigurationError

Compiling = Literal["never", "before", "meanwhile", "auto"]


class Chunking(msgspec.Struct, frozen=True):
    """How to cut: `tokens` of text a chunk at most (None: what fits beside query and title), `overlap` of them shared.

    At most `limit` chunks of a passage are scored. Raises ConfigurationError for a chunk that would not advance.
    """

    tokens: int | None = None
    overlap: int = 32
    limit: int = 16

    def __post_init__(self) -> None:
        if self.overlap < 0 or self.limit < 1 or (self.tokens is not None and self.tokens <= self.overlap):
            raise ConfigurationError(
                f"Chunks of {self.tokens} tokens with {self.overlap} shared, {self.limit} of them, never advance.",
                remedy="The overlap must be smaller than a chunk.",
            )


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The model to load and how; the one place of the defaults.

    `model` is a preset, a directory (with or without `sidecar.json`) or a hub name; `base_model` takes the place of
    the base an adapter names, and `adapter` False leaves its LoRA out and keeps its score head. `device` is auto, cuda,
    mps, cpu …, `dtype` auto (what suits the device), float32, bfloat16 or float16, `quantization` none, 8bit or 4bit;
    `device_map` is transformers' own, for models that do not fit one device. With `chunking` passages that are longer
    than the model reads are scored by their best chunk; without, they are cut. `revision` and `base_revision` pin
    commits at the hub; `offline` asks only its local cache. `max_length` takes the place of the manifest's token
    limit. `compile` says whether and when torch compiles the model (`checkpoint.Placement`). `engine` is one of
    `scoring.engines.names.ENGINES`; with `invariant` a pair's score does not depend on what else is scored with it. A
    bi-encoder keeps the embeddings of `cache_size` passages.
    """

    model: str
    base_model: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    revision: str | None = None
    base_revision: str | None = None
    batch_size: int = 128
    max_length: int | None = None
    compile: Compiling = "never"
    engine: str = "auto"
    invariant: bool = False
    quantization: str = "none"
    device_map: Any = None
    adapter: bool = True
    chunking: Chunking | None = None
    cache_size: int = 16384
    offline: bool = False
