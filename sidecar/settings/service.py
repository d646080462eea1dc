"""The settings of `sidecar serve`, declared once; `sidecar.settings` reads them with all the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from sidecar.settings import addresses

Names = Annotated[tuple[str, ...], NoDecode]


class ServiceSettings(BaseModel):
    """Settings of the service; every limit is here."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 listens on every IPv4 address.")
    port: int = Field(
        9280, ge=0, le=65535, description="Port of the proxy in front of OpenSearch; 0 chooses a free port."
    )
    api_port: int = Field(9281, ge=0, le=65535, description="Port of the rerank API; 0 chooses a free port.")
    tls_cert: Path | None = Field(None, description="PEM file of the certificate and its chain, for TLS on both ports.")
    tls_key: Path | None = Field(None, description="PEM file of the key of the certificate, if it is a separate file.")
    tls_client_ca: Path | None = Field(
        None, description="CA bundle that verifies client certificates; if it is set, every client must have one."
    )
    api_key: SecretStr | None = Field(
        None,
        description="Key that clients of the rerank API and of /_sidecar must send; it is never sent to OpenSearch.",
    )
    client_keys: dict[str, SecretStr] = Field(
        {},
        description='More keys for clients of the rerank API, by names: {"team-a": "KEY"}. '
        "Each has rate limits of its own; none admits to /_sidecar.",
    )
    models: dict[str, str] = Field(
        {}, description='More models that requests may name: {"name": "preset, directory or hub name"}.'
    )
    devices: Names = Field(
        (),
        description="Devices of the service, with one scorer process for each: cuda:0,cuda:1, or cpu,cpu. "
        "auto: every GPU, or one process on the CPU. Unset: one process on --device.",
    )
    model_devices: dict[str, str] = Field(
        {}, description='Declared models that only some of the devices score: {"minilm": "cuda:1"}.'
    )
    merged_adapters: int = Field(
        2,
        ge=1,
        le=64,
        description="Adapters of one base model that are kept merged; each takes the memory of a base model.",
    )
    model_aliases: dict[str, str] = Field(
        {}, description='Other names of declared models, for clients with fixed names: {"rerank-v3.5": "minilm"}.'
    )
    lucene_indexes: dict[str, str] = Field(
        {}, description='Lucene indexes that the rerank API searches, with the API of Pyserini: {"name": "directory"}.'
    )
    rules: list[dict[str, Any]] = Field(
        [],
        description="Indexes whose searches are reranked without ext.rerank: "
        "[{index, percent, shadow, model, window, …}, …]; the first rule that matches is used.",
    )
    shadow_file: Path | None = Field(
        None, description="File for what shadow rules would have changed: one JSON line for each search."
    )
    shadow_queries: bool = Field(False, description="Write the text of the queries into shadow_file.")
    pass_through: Literal["all", "read-only", "search"] = Field(
        "all", description="Requests to OpenSearch that pass through the proxy."
    )
    listwise_on_request: bool = Field(
        False, description="Run stage two only for searches whose ext.rerank asks for it (listwise)."
    )
    budget_ms: int = Field(3000, ge=1, le=600_000, description="Milliseconds that a reranked search may take in total.")
    on_failure: Literal["first-stage", "error"] = Field(
        "first-stage",
        description="Response if reranking fails. first-stage: the hits of OpenSearch. error: status 503.",
    )
    max_body_bytes: int = Field(
        10_485_760, ge=1024, description="Largest body of a request or response that the sidecar parses."
    )
    api_seconds: float = Field(
        120, gt=0, le=3600, description="Seconds that scoring a request to the rerank API may take."
    )
    api_concurrent: int = Field(
        64, ge=1, description="Requests to the rerank API that are served at a time; more get status 429."
    )
    requests_per_minute: int | None = Field(
        None, ge=1, description="Requests a minute that each caller may send to be scored; more get status 429."
    )
    tokens_per_minute: int | None = Field(
        None, ge=1, description="Tokens a minute that each caller may have scored, estimated; more get status 429."
    )
    max_batch_requests: int = Field(
        64, ge=1, le=1000, description="Largest number of requests in a batch at the rerank API."
    )
    max_documents: int = Field(2000, ge=1, description="Largest number of documents in a request to the rerank API.")
    max_characters: int = Field(
        10_000_000, ge=1, description="Largest number of characters in a request to the rerank API."
    )
    max_concurrent: int = Field(
        64, ge=1, description="Searches that are reranked at a time; more are answered in first-stage order."
    )
    max_queue: int = Field(20_000, ge=1, description="Largest number of passages that wait to be scored.")
    slice_seconds: float = Field(0.25, gt=0, le=60, description="Seconds of scoring before the next caller has a turn.")
    score_cache: int = Field(
        100_000, ge=0, description="Scores that are kept in memory, so that the next page of a search needs no scoring."
    )
    hang_seconds: float = Field(
        30, gt=0, le=3600, description="Seconds without progress after which the scorer process is replaced."
    )
    breaker_failures: int = Field(
        5, ge=1, description="Consecutive failures after which the circuit breaker stops scoring."
    )
    breaker_seconds: float = Field(10, gt=0, description="Seconds for which the circuit breaker stops scoring.")
    drain_seconds: float = Field(
        20, ge=0, description="Seconds that running requests may take after the service is told to stop."
    )
    body_seconds: float = Field(
        60, gt=0, le=3600, description="Seconds in which a body that the sidecar parses must arrive completely."
    )
    max_body_values: int = Field(
        100_000, ge=1000, description="Largest number of values (clauses, terms, numbers) in a search that is reranked."
    )
    max_held_bytes: int = Field(
        536_870_912,
        ge=1_048_576,
        description="Bytes of requests and responses in memory at a time; one client may have half of them.",
    )
    slow_client_seconds: float = Field(
        30,
        gt=0,
        description="Seconds that a client may take to send a part of a request or to receive a part of a response.",
    )
    slow_client_rate: int = Field(
        1000, ge=1, description="Bytes per second that a client must send and receive after slow_client_seconds."
    )
    upstream_connections: int = Field(256, ge=1, description="Largest number of connections to OpenSearch.")
    upstream_share: int = Field(
        16, ge=1, description="Connections to OpenSearch that one client address may use; its other requests wait."
    )
    lend_account: bool = Field(
        False, description="Let callers without an Authorization header use the OpenSearch account of the sidecar."
    )
    trusted_proxies: Names = Field(
        (),
        description="Addresses and networks of proxies (10.0.0.7, 10.0.0.0/8) that name a request's caller in "
        "X-Forwarded-For; all of their headers are passed on to OpenSearch.",
    )
    pass_headers: Names = Field(
        (), description="More headers to pass on to OpenSearch from every client: names, or patterns such as x-acme-*."
    )
    advertised_address: str = Field(
        "auto",
        description="Address in the response to GET /_nodes, for clients that sniff: "
        "auto (the one that they connected to), off (that of OpenSearch), or HOST:PORT.",
    )
    allowed_hosts: Names = Field(
        (), description="Host names that the service accepts, each with any port or with its own. Unset: any."
    )
    traces: bool = Field(
        False,
        description="Write traces with OpenTelemetry, whose variables (OTEL_EXPORTER_OTLP_ENDPOINT, …) say where to; "
        "needs the extra otel.",
    )
    trace_queries: bool = Field(False, description="Write the text of the queries into the traces.")
    ui: bool = Field(
        True, description="Serve the page that compares first stage and reranking at /ui of the rerank API's port."
    )
    cors_origins: Names = Field(
        (), description="Origins of web pages that may call the rerank API, such as https://app.example; * allows all."
    )

    @field_validator("devices", "trusted_proxies", "pass_headers", "allowed_hosts", "cors_origins", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(addresses.network, values))

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(addresses.host, values))

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(addresses.origin, values))
