"""Sections of settings, and the allowed values of each: for the help, `sidecar settings` and docs/settings.md."""

from __future__ import annotations

import types
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from sidecar.settings.agents import AgentSettings
from sidecar.settings.listwise import ListwiseSettings
from sidecar.settings.training import TrainingSettings

# Every setting once, in the order in which they are listed.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Model": (
        *("model", "base_model", "revision", "base_revision", "device", "dtype", "scoring_engine", "quantization"),
        *("batch_invariant", "batch_size", "max_length", "compile"),
        *("long_passages", "chunk_tokens", "chunk_overlap", "max_chunks", "score_file"),
    ),
    "Remote scorer": (
        *("remote_dialect", "remote_model", "remote_api_key", "remote_timeout", "remote_batch", "remote_concurrency"),
    ),
    "Search": ("window", "min_relevance"),
    "Fusion": ("fusion", "normalization", "fusion_weight", "rank_constant", "fusion_arithmetic"),
    "Stage two": tuple(ListwiseSettings.model_fields),
    "Documents": ("title_fields", "text_fields", "join_fields"),
    "BM25": ("k1", "b"),
    "RM3": ("rm3", "rm3_fb_terms", "rm3_fb_docs", "rm3_original_query_weight"),
    "Pyserini server": ("pyserini_url", "pyserini_api_key", "pyserini_timeout"),
    "OpenSearch": (
        *("opensearch_url", "opensearch_user", "opensearch_password", "opensearch_token"),
        *("opensearch_client_cert", "opensearch_client_key", "opensearch_ca_certs", "opensearch_verify_certs"),
        *("opensearch_aws_region", "opensearch_aws_service", "opensearch_timeout", "opensearch_retries"),
    ),
    "Service": (
        *("host", "port", "api_port", "tls_cert", "tls_key", "tls_client_ca", "api_key", "client_keys"),
        *(
            "models",
            "devices",
            "model_devices",
            "merged_adapters",
            "listwise_on_request",
            "rules",
            "shadow_file",
            "shadow_queries",
            "pass_through",
            "budget_ms",
        ),
        *("on_failure", "lend_account", "trusted_proxies", "pass_headers", "allowed_hosts", "advertised_address"),
        *("traces", "trace_queries"),
    ),
    "Limits of the service": (
        *("max_body_bytes", "max_body_values", "max_held_bytes", "max_concurrent", "max_queue", "slice_seconds"),
        *("score_cache", "hang_seconds", "breaker_failures", "breaker_seconds", "drain_seconds", "body_seconds"),
        *("slow_client_seconds", "slow_client_rate", "upstream_connections", "upstream_share"),
    ),
    "Rerank API": (
        *("model_aliases", "lucene_indexes", "cors_origins", "max_documents", "max_characters", "max_batch_requests"),
        *("api_seconds", "api_concurrent", "requests_per_minute", "tokens_per_minute", "ui"),
    ),
    "Agents": tuple(AgentSettings.model_fields),
    "Training": tuple(TrainingSettings.model_fields),
}


def section_of(name: str) -> str:
    """Return the section that lists a setting."""
    [section] = [section for section, names in SECTIONS.items() if name in names]
    return section


def kind_of(field: FieldInfo) -> Any:
    """Return the type of a setting's value, without None."""
    annotation: Any = field.annotation
    if get_origin(annotation) in {types.UnionType, Union}:
        annotation = next(kind for kind in get_args(annotation) if kind is not type(None))
    return annotation


def choices_of(field: FieldInfo) -> list[str]:
    """Return the values that a setting takes, if they are a fixed list."""
    kind = kind_of(field)
    if get_origin(kind) is Literal:
        return [str(value) for value in get_args(kind)]
    return [str(one.value) for one in kind] if isinstance(kind, type) and issubclass(kind, Enum) else []


def range_of(field: FieldInfo) -> str:
    """Return the range of a number in words; empty for other types."""
    words = []
    for bound, word in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
        words += [f"{word} {_number(getattr(one, bound))}" for one in field.metadata if hasattr(one, bound)]
    if [word.rpartition(" ")[0] for word in words] == ["at least", "at most"]:
        return " to ".join(word.rpartition(" ")[2] for word in words)
    return ", ".join(words)


def values_of(field: FieldInfo) -> str:
    """Return the allowed values of a setting in words: a list, a range, or its type."""
    if words := ", ".join(choices_of(field)) or range_of(field):
        return words
    kind = kind_of(field)
    names = {bool: "true, false", int: "a number", float: "a number", Path: "a path", str: "text", SecretStr: "text"}
    named = {tuple: "names with commas between", dict: "a table, or a JSON object", list: "a list, or a JSON array"}
    return named.get(get_origin(kind)) or names[kind]


def describe_default(field: FieldInfo) -> str:
    """Return the default of a setting as it would be typed."""
    value = field.default
    if value in (None, (), [], {}):
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)
