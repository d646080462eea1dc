"""The knobs of `sidecar serve`, declared once; `sidecar.settings` reads them with all the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

Names = Annotated[tuple[str, ...], NoDecode]


class ServiceSettings(BaseModel):
    """Settings of the service; every limit is here."""

    host: str = Field("127.0.0.1", description="Address to listen on; loopback, unless you open it.")
    port: int = Field(9280, ge=0, le=65535, description="Port of the OpenSearch face.")
    api_port: int = Field(9281, ge=0, le=65535, description="Port of the rerank API; 0 chooses a free one.")
    tls_cert: Path | None = Field(
        None, description="PEM file of the certificate, with its chain, for TLS on both ports."
    )
    tls_key: Path | None = Field(None, description="PEM file of its key, if that is a file of its own.")
    tls_client_ca: Path | None = Field(
        None, description="CA bundle that signs clients' certificates; set, a client has to show one."
    )
    api_key: SecretStr | None = Field(
        None, description="Key that the rerank API and /_sidecar ask for; it never reaches OpenSearch."
    )
    models: dict[str, str] = Field(
        {}, description='More models that requests may name: {"name": "preset, directory or hub name"}.'
    )
    merged_adapters: int = Field(
        2,
        ge=1,
        le=64,
        description="Adapters of one base that are kept merged: each costs a base of memory, no switching.",
    )
    model_aliases: dict[str, str] = Field(
        {}, description='Names that clients hard-code, and the declared model behind each: {"rerank-v3.5": "minilm"}.'
    )
    lucene_indexes: dict[str, str] = Field(
        {}, description='Lucene indexes that the rerank API searches as Pyserini does: {"name": "directory"}.'
    )
    rules: list[dict[str, Any]] = Field(
        [],
        description="Indexes to rerank unasked, the first that fits: [{index, percent, shadow, model, window, …}, …].",
    )
    shadow_file: Path | None = Field(
        None, description="File to which what shadow rules would have changed is appended, a JSON line for each search."
    )
    shadow_queries: bool = Field(False, description="Whether those lines hold the query's text.")
    pass_through: Literal["all", "read-only", "search"] = Field(
        "all", description="What of OpenSearch can be reached through the sidecar."
    )
    budget_ms: int = Field(3000, ge=1, le=600_000, description="Milliseconds for a reranked search, all told.")
    on_failure: Literal["first-stage", "error"] = Field(
        "first-stage", description="Answer when reranking fails: OpenSearch's own hits, or 503."
    )
    max_body_bytes: int = Field(10_485_760, ge=1024, description="Largest body that is looked at.")
    api_seconds: float = Field(120, gt=0, le=3600, description="Seconds a request to the rerank API may be scored.")
    api_concurrent: int = Field(64, ge=1, description="Requests to the rerank API at a time; the next ones get 429.")
    max_documents: int = Field(2000, ge=1, description="Documents in one request to the rerank API.")
    max_characters: int = Field(10_000_000, ge=1, description="Characters in one request to the rerank API.")
    max_concurrent: int = Field(64, ge=1, description="Searches reranked at a time; the next ones are not.")
    max_queue: int = Field(20_000, ge=1, description="Passages that may wait to be scored.")
    slice_seconds: float = Field(
        0.25, gt=0, le=60, description="Seconds that the device is busy before the next caller has a turn."
    )
    score_cache: int = Field(100_000, ge=0, description="Scores kept in memory, so that pages cost one scoring.")
    hang_seconds: float = Field(
        30, gt=0, le=3600, description="A scorer without a sign of life is replaced after this."
    )
    breaker_failures: int = Field(5, ge=1, description="Failures in a row after which the scorer is left alone.")
    breaker_seconds: float = Field(10, gt=0, description="Seconds for which it is left alone.")
    drain_seconds: float = Field(20, ge=0, description="Seconds for requests under way when the service is stopped.")
    body_seconds: float = Field(
        60, gt=0, le=3600, description="Seconds in which a body that is looked at has to arrive, all of it."
    )
    max_body_values: int = Field(
        100_000, ge=1000, description="Values (clauses, terms, numbers) in a search that is reranked."
    )
    max_held_bytes: int = Field(
        536_870_912,
        ge=1_048_576,
        description="Bytes of bodies and answers in memory at a time; one client may hold half of them.",
    )
    slow_client_seconds: float = Field(
        30, gt=0, description="Seconds a part of a request may take to arrive, and a part of an answer to be taken."
    )
    slow_client_rate: int = Field(
        1000, ge=1, description="Bytes a second that a client has to send and take, once those seconds are over."
    )
    upstream_connections: int = Field(256, ge=1, description="Connections to OpenSearch, at most.")
    upstream_share: int = Field(
        16, ge=1, description="How many of them one client address may have; its next requests wait for one."
    )
    lend_account: bool = Field(
        False, description="Whether callers without an Authorization use the sidecar's own OpenSearch account."
    )
    trusted_proxies: Names = Field(
        (), description="Addresses of proxies of which every header (X-Forwarded-For, …) goes on to OpenSearch."
    )
    pass_headers: Names = Field(
        (), description="More headers that go on to OpenSearch whoever sends them: names, or patterns as x-acme-*."
    )
    advertised_address: str = Field(
        "auto",
        description="Address that GET /_nodes tells clients that sniff: auto (by which they came), "
        "off (OpenSearch's own), or HOST:PORT.",
    )
    allowed_hosts: Names = Field((), description="Host names served; empty for any.")
    cors_origins: Names = Field(
        (), description="Origins of web pages that may call the rerank API, as https://app.example; * for all."
    )

    @field_validator("trusted_proxies", "pass_headers", "allowed_hosts", "cors_origins", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
