"""A model as settings, requests and processes specify it: everything that is needed to load it, as plain values."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from sidecar.core.errors import ConfigurationError

Compiling = Literal["never", "before", "meanwhile", "auto"]


class Chunking(msgspec.Struct, frozen=True):
    """How to cut: at most `tokens` of text a chunk (None: what fits with query and title), `overlap` of them shared.

    At most `limit` chunks of a passage are scored. Raises ConfigurationError if chunks would not advance.
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


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """How to ask a remote scorer.

    `dialect` is the rerank API of the server, auto to find it out. `model` is the name that requests give the model;
    None for the server's only one, or its default. `api_key` is sent as `Authorization: Bearer`. `timeout` is how many
    seconds a query may take with all its retries, unless the caller sets a deadline. At most `concurrency` requests of
    at most `batch` passages (None: what the server takes) are sent to each server at once.
    """

    dialect: str = "auto"
    model: str | None = None
    api_key: str | None = None
    timeout: float = 30.0
    batch: int | None = None
    concurrency: int = 8

    def __repr__(self) -> str:
        """Leave out the key."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__ if name != "api_key"}
        return f"Remote({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The model to load and how; the only place for the defaults.

    `model` is a preset, a directory (with or without `sidecar.json`), a hub name, or the URL of a server (several with
    commas between), which is
    asked as `remote` says and takes no other option; `base_model` replaces the base that
    an adapter names, and `adapter` False leaves its LoRA out and keeps its score head. `device` is auto, cuda,
    mps, cpu …, `dtype` auto (what suits the device), float32, bfloat16 or float16, `quantization` none, 8bit, 4bit
    or fp8; `device_map` is transformers' own, for models that do not fit one device. With `chunking`, a passage that
    is longer than the model reads gets the score of its best chunk; without, it is cut. `revision` and `base_revision`
    pin commits at the hub; `offline` uses only its local cache. `max_length` replaces the manifest's token limit.
    `compile` says whether and when torch compiles the model (`checkpoint.Placement`). `engine` is one of
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
    remote: Remote = Remote()

    @property
    def is_remote(self) -> bool:
        """True if a server scores."""
        return is_remote(self.model)


def is_remote(model: str) -> bool:
    """True if a model's name is the URL of a server."""
    return model.startswith(("http://", "https://"))
