"""Decides which options have an effect in a mode of a command: one without an effect is refused, and not recorded.

Each command declares its conditions, and `takes` checks them. Only options on the command line are refused: variables
and `sidecar.toml` are shared by all commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

from sidecar.core.errors import ConfigurationError
from sidecar.core.fusion import Method
from sidecar.core.model_spec import is_remote
from sidecar.settings import Settings
from sidecar.settings.listwise import ListwiseSettings


class SearchEngine(StrEnum):
    """The engine of an index."""

    LUCENE = "lucene"
    OPENSEARCH = "opensearch"


def chosen_engine(engine: SearchEngine | None, settings: Settings) -> SearchEngine:
    """Return the engine that was asked for; if none was, OpenSearch if its URL is set, and Lucene otherwise.

    Raises `ConfigurationError` if the URL of a Pyserini server is set as well.
    """
    if engine is not None:
        return engine
    if "opensearch_url" not in settings.model_fields_set:
        return SearchEngine.LUCENE
    if settings.pyserini_url is not None:
        raise ConfigurationError(
            "a URL of OpenSearch and a URL of a Pyserini server are both set.",
            remedy="Choose the engine of the index: --engine opensearch or --engine lucene.",
        )
    return SearchEngine.OPENSEARCH


@dataclass(frozen=True, slots=True)
class Condition:
    """Options that have an effect only where `holds` is true of a mode; `otherwise` says why they have none.

    A mode has the value of every setting, and of every option of the command, by its parameter's name.
    """

    options: tuple[str, ...]
    holds: Callable[[Any], bool]
    otherwise: str


_WEIGHED = {Method.LINEAR, Method.GEOMETRIC, Method.HARMONIC, Method.RRF}
_MEANS = {Method.LINEAR, Method.ADAPTIVE, Method.GEOMETRIC, Method.HARMONIC}

# They depend on settings only, so they hold for every command that takes these.
# What a command's options say of a model on this machine, and of one behind a URL.
LOCAL_MODEL = (
    *("base_model", "revision", "base_revision", "batch_size", "max_length", "scoring_engine"),
    *("batch_invariant", "compile", "long_passages", "chunk_tokens", "chunk_overlap", "max_chunks"),
)
# A generator of stage two on this machine has these, too.
PLACEMENT = ("device", "dtype", "quantization")
# Options of stage two beside its generator; a key and a table are no options.
LISTWISE = tuple(
    name
    for name in ListwiseSettings.model_fields
    if name not in {"listwise_model", "listwise_api_key", "listwise_request"}
)
REMOTE_MODEL = ("remote_dialect", "remote_model", "remote_timeout", "remote_batch", "remote_concurrency")


def _local_generator(mode: Any) -> bool:
    return mode.listwise_model is not None and not is_remote(mode.listwise_model)


COMMON = (
    Condition(
        ("fusion_weight", "fusion_arithmetic"),
        lambda mode: mode.fusion in _WEIGHED,
        "without --fusion the model's own choice decides; rerank has no weight, and adaptive computes its weight",
    ),
    Condition(
        ("normalization",),
        lambda mode: mode.fusion in _MEANS,
        "scores are normalised only with --fusion linear, adaptive, geometric or harmonic",
    ),
    Condition(("rank_constant",), lambda mode: mode.fusion is Method.RRF, "only --fusion rrf has a rank constant"),
    Condition(
        LOCAL_MODEL,
        lambda mode: not is_remote(mode.model or ""),
        "a remote scorer runs the model as it was started",
    ),
    Condition(
        PLACEMENT,
        lambda mode: not is_remote(mode.model or "") or _local_generator(mode),
        "a remote scorer runs the model as it was started",
    ),
    Condition(
        REMOTE_MODEL,
        lambda mode: is_remote(mode.model or ""),
        "only a model that is a URL is asked at a server",
    ),
    Condition(
        LISTWISE,
        lambda mode: mode.listwise_model is not None,
        "there is no stage two without --listwise-model",
    ),
    Condition(
        ("listwise_name", "listwise_concurrency"),
        lambda mode: not _local_generator(mode),
        "only a generator that is a URL is asked at a server",
    ),
    Condition(
        ("listwise_base_model",),
        _local_generator,
        "only a generator on this machine takes it; a server runs it as it was started",
    ),
    Condition(
        ("listwise_max_tokens",),
        lambda mode: mode.listwise_mode != "first-token",
        "--listwise-mode first-token generates no answer",
    ),
    Condition(
        ("chunk_tokens", "chunk_overlap", "max_chunks"),
        lambda mode: mode.long_passages == "chunk",
        "passages are scored in chunks only with --long-passages chunk",
    ),
    Condition(
        ("rm3_fb_terms", "rm3_fb_docs", "rm3_original_query_weight"),
        lambda mode: mode.rm3,
        "queries are expanded only with --rm3",
    ),
    Condition(
        ("opensearch_aws_service",),
        lambda mode: mode.opensearch_aws_region is not None,
        "requests are signed for AWS only with --opensearch-aws-region",
    ),
    Condition(
        ("pyserini_timeout",),
        lambda mode: mode.pyserini_url is not None,
        "there is no Pyserini server without --pyserini-url",
    ),
)


def in_effect(
    names: Iterable[str], settings: Settings, conditions: Sequence[Condition] = (), **arguments: Any
) -> list[str]:
    """Return the names that have an effect in this mode, which a manifest records."""
    mode = _mode(settings, arguments)
    idle = {name for one in (*COMMON, *conditions) if not one.holds(mode) for name in one.options}
    return [name for name in names if name not in idle]


def refuse_idle(
    typed: Mapping[str, str], settings: Settings, conditions: Sequence[Condition], arguments: Mapping[str, Any]
) -> None:
    """Raise `ConfigurationError` if an option has no effect in this mode; `typed` has the flags on the command line."""
    mode = _mode(settings, arguments)
    flags: dict[str, list[str]] = {}
    named: set[str] = set()
    for one in (*conditions, *COMMON):
        if one.holds(mode):
            continue
        idle = [flag for name, flag in typed.items() if name in one.options and name not in named]
        named.update(one.options)
        if idle:
            flags.setdefault(one.otherwise, []).extend(idle)
    if flags:
        raise ConfigurationError(
            "\n".join(
                f"{', '.join(idle)} {'have' if len(idle) > 1 else 'has'} no effect here: {reason}."
                for reason, idle in flags.items()
            ),
            remedy="Leave out the option, or change what it depends on.",
        )


def _mode(settings: Settings, arguments: Mapping[str, Any]) -> SimpleNamespace:
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    return SimpleNamespace(**{**values, **arguments, "set": settings.model_fields_set})
