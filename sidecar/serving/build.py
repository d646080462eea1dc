"""Build the service from the settings: scorers, two ports, and the connection to OpenSearch."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace
from starlette.types import ASGIApp

from connectors.opensearch.auth import client_options
from sidecar.core.candidates import Score
from sidecar.core.errors import ConfigurationError
from sidecar.core.model_spec import Compiling, ModelSpec, is_remote
from sidecar.opensearch_account import access
from sidecar.serving.build_scorers import build_scorers
from sidecar.serving.comparing import compare_api
from sidecar.serving.http.callers import TrustedProxies
from sidecar.serving.http.held_bytes import HeldBytes
from sidecar.serving.http.metrics import Metrics
from sidecar.serving.http.request_body import BodyLimits
from sidecar.serving.http.traced_app import TracedApp
from sidecar.serving.management import Management
from sidecar.serving.proxy.app import ProxyApp, ProxyOptions
from sidecar.serving.proxy.cluster_health import ClusterHealth
from sidecar.serving.proxy.forward import Forwarder
from sidecar.serving.proxy.node_addresses import check_address
from sidecar.serving.proxy.rerank_options import RerankOptions
from sidecar.serving.proxy.routes import PassThrough
from sidecar.serving.proxy.rules import rules_of
from sidecar.serving.proxy.shadow_log import ShadowFile
from sidecar.serving.proxy.upstream import Try, Upstream, UpstreamLimits, node_url
from sidecar.serving.rerank_api.app import ExtraRouter, rerank_api
from sidecar.serving.rerank_api.engine import ModelNames, RequestLimits, RerankEngine
from sidecar.serving.rerank_api.middleware import AccessPolicy
from sidecar.serving.scorer.process import COMMAND
from sidecar.serving.scorer.rate_limits import RateLimits
from sidecar.serving.scorer.score_cache import ScoreCache
from sidecar.serving.scorer.service import RerankingService
from sidecar.serving.scorer.stage_two import ServiceStageTwo
from sidecar.serving.starting import build_stage_two, build_traces, client_keys_of, start_scorers
from sidecar.settings import Settings

if TYPE_CHECKING:
    from sidecar.serving.lucene_api import LuceneApi
    from sidecar.serving.otel import OtelTraces


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """The running parts of the service; `ports` are the applications that its ports serve, the proxy's first."""

    service: RerankingService
    upstream: Upstream
    cluster: ClusterHealth
    proxy: ProxyApp
    api: ASGIApp
    ports: tuple[ASGIApp, ASGIApp]
    metrics: Metrics
    loading: asyncio.Task[None]


def declared_models(settings: Settings) -> dict[str, ModelSpec]:
    """Return every model that requests may name; the first is the default.

    A default that is a path or a hub name is named by its last part.
    """
    # A service answers at once, before its model is compiled, and faster afterwards.
    compiling: dict[bool | None, Compiling] = {None: "auto", True: "meanwhile", False: "never"}
    default = replace(settings.as_model(), compile=compiling[settings.compile])
    # The default's key, dialect and name at its server are not those of another server.
    remote = replace(default.remote, dialect="auto", model=None, api_key=None)
    others = replace(default, base_model=None, revision=None, base_revision=None, remote=remote)
    name = "remote" if default.is_remote else settings.model.rstrip("/").rpartition("/")[2]
    found = {name: default}
    return found | {name: _declared(model, others) for name, model in settings.models.items()}


def _declared(model: str, others: ModelSpec) -> ModelSpec:
    """Return the specification of a model beside the default; a remote one has no settings of a local one."""
    if is_remote(model):
        return ModelSpec(model=model, remote=others.remote)
    return replace(others, model=model)


@asynccontextmanager
async def parts(
    settings: Settings, command: Sequence[str] = COMMAND, *, traces: OtelTraces | None = None
) -> AsyncIterator[ServiceParts]:
    """Start everything except the listeners, and end it; `command` runs the scorer process.

    `traces` is used in place of what the settings say of traces.
    Models are loaded meanwhile: `loading` ends when one answers, or with a `ModelError`. Raises `ConfigurationError`.
    """
    models = declared_models(settings)
    stage_two, traces = build_stage_two(settings), traces or build_traces(settings)
    options = _proxy_options(settings, tuple(models), stage_two)
    names = model_names(settings, tuple(models))
    async with AsyncExitStack() as stack:
        if traces is not None:
            stack.push_async_callback(traces.close)
        upstream = _upstream(settings)
        stack.push_async_callback(upstream.close)
        metrics = Metrics()
        cluster = ClusterHealth(upstream, authorization=_account(settings))
        stack.push_async_callback(cluster.stop)

        def tried(one: Try) -> None:
            cluster.tried(one)
            metrics.tried(one)

        upstream.on_try = tried
        scorers = await build_scorers(settings, models, command)
        scorers.report_batches(metrics.batch)
        stack.push_async_callback(scorers.stop)
        loading = asyncio.create_task(start_scorers(scorers, options))
        stack.push_async_callback(_give_up, loading)
        cache: ScoreCache[Score] = ScoreCache(settings.score_cache)
        if stage_two is not None:
            stack.push_async_callback(stage_two.close)
        rates = RateLimits(settings.requests_per_minute, settings.tokens_per_minute)
        rates.on_refusal = metrics.rate_limited
        service = RerankingService(
            scorers, cache=cache, fair_seconds=settings.budget_ms / 2000, rates=rates, stage_two=stage_two
        )
        key = settings.api_key.get_secret_value() if settings.api_key else None
        client_keys = client_keys_of(settings)
        held = HeldBytes(settings.max_held_bytes)
        proxy = ProxyApp(_proxy(settings, upstream), service, options, metrics=metrics, held=held)
        proxy.ours = Management(service, cluster, metrics, proxy, api_key=key, allowed_hosts=options.allowed_hosts)
        proxy.shadows.record = _shadow_file(settings)
        stack.push_async_callback(proxy.shadows.drain)
        engine = RerankEngine(service, names, limits(settings, held), metrics)
        lucene = await stack.enter_async_context(_lucene(settings, service, options.defaults))
        extra: list[ExtraRouter] = [] if lucene is None else [lucene]
        if settings.ui:
            keys = [one for one in (key, *client_keys.values()) if one is not None]
            extra.append(compare_api(engine, proxy, lucene, keys=keys, proxy_port=settings.port))
        api = rerank_api(
            engine,
            fields=settings.as_fields(),
            access=AccessPolicy(key, client_keys, options.allowed_hosts, trusted=proxy.proxy.trusted),
            cors_origins=settings.cors_origins,
            extra=extra,
            management=proxy.ours,
        )
        ports = (proxy, api) if traces is None else (TracedApp(proxy, traces), TracedApp(api, traces))
        yield ServiceParts(service, upstream, cluster, proxy, api, ports, metrics, loading)


async def _give_up(task: asyncio.Task[None]) -> None:
    """End a task and ignore its result."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _upstream(settings: Settings) -> Upstream:
    """Connect to OpenSearch without the URL's account, if it has one. Raises what `client_options` raises."""
    found = access(settings)
    nodes = client_options(settings.opensearch_url, found)["hosts"]
    tls: ssl.SSLContext | bool = found.verify_certs
    if found.ca_certs is not None or found.client_cert is not None:
        tls = ssl.create_default_context(cafile=found.ca_certs)
        if found.client_cert is not None:
            tls.load_cert_chain(found.client_cert, found.client_key)
    limits = UpstreamLimits(
        settings.opensearch_timeout, connections=settings.upstream_connections, share=settings.upstream_share
    )
    return Upstream([node_url(node) for node in nodes], limits, tls=tls)


def _account(settings: Settings) -> bytes | None:
    """Return the `Authorization` of the settings' own account, if it has one."""
    found: str | None = (
        client_options(settings.opensearch_url, access(settings)).get("headers", {}).get("authorization")
    )
    return None if found is None else found.encode()


def _proxy(settings: Settings, upstream: Upstream) -> Forwarder:
    lent = _account(settings) if settings.lend_account else None
    if settings.lend_account and lent is None:
        raise ConfigurationError(
            "lend_account is set, but there is no account to lend.",
            remedy="Set SIDECAR_OPENSEARCH_USER and _PASSWORD, or _TOKEN.",
        )
    return Forwarder(
        upstream,
        allowed=PassThrough(settings.pass_through),
        body_limits=BodyLimits(
            settings.max_body_bytes, settings.slow_client_seconds, settings.body_seconds, settings.slow_client_rate
        ),
        trusted=TrustedProxies(settings.trusted_proxies),
        passed=tuple(pattern.lower() for pattern in settings.pass_headers),
        lent=lent,
    )


def model_names(settings: Settings, declared: tuple[str, ...]) -> ModelNames:
    """Return the names that requests may give the models. Raises `ConfigurationError` if an alias leads nowhere."""
    for alias, name in settings.model_aliases.items():
        if name not in declared:
            message = f"model_aliases: {alias} stands for {name}, but no model {name} is declared."
            raise ConfigurationError(message, remedy=f"Declared models: {', '.join(declared)}.")
        if alias in declared:
            raise ConfigurationError(f"model_aliases: {alias} is already the name of a model.")
    return ModelNames(declared, settings.model_aliases)


def limits(settings: Settings, held: HeldBytes) -> RequestLimits:
    """Return the limits of a request to the rerank API, its body counted by `held`.

    Raises `ConfigurationError` if a request may have more documents than the queue can hold.
    """
    if settings.max_documents > settings.max_queue:
        raise ConfigurationError(
            f"max_documents is {settings.max_documents}, but only {settings.max_queue} passages may wait (max_queue).",
            remedy="Raise max_queue, or lower max_documents: a request of that size would always be refused.",
        )
    return RequestLimits(
        documents=settings.max_documents,
        characters=settings.max_characters,
        seconds=settings.api_seconds,
        body=settings.max_body_bytes,
        body_seconds=settings.body_seconds,
        requests=settings.api_concurrent,
        batch=settings.max_batch_requests,
        held=held,
    )


def _shadow_file(settings: Settings) -> ShadowFile | None:
    """Open the file for shadows. Raises `ConfigurationError` if it can't be written."""
    if settings.shadow_file is None:
        return None
    found = ShadowFile(settings.shadow_file, queries=settings.shadow_queries)
    try:
        found.append(b"")
    except OSError as error:
        raise ConfigurationError(f"shadow_file: {settings.shadow_file}: {error.strerror}.") from None
    return found


@asynccontextmanager
async def _lucene(
    settings: Settings, service: RerankingService, terms: RerankOptions
) -> AsyncIterator[LuceneApi | None]:
    """Open the Lucene indexes of the settings; without any, nothing of Lucene or the JVM is loaded."""
    if not settings.lucene_indexes:
        yield None
        return
    from sidecar.serving.lucene_api import LuceneApi, open_indexes

    paths = {name: Path(path) for name, path in settings.lucene_indexes.items()}
    opened = await asyncio.to_thread(open_indexes, paths, settings.as_fields(), k1=settings.k1, b=settings.b)
    api = LuceneApi(opened, service, terms)
    try:
        yield api
    finally:
        await asyncio.to_thread(api.close)


def _proxy_options(settings: Settings, models: tuple[str, ...], stage_two: ServiceStageTwo | None) -> ProxyOptions:
    rules = rules_of(settings.rules, models)
    address = settings.advertised_address
    return ProxyOptions(
        defaults=RerankOptions(
            model=models[0],
            fusion=settings.as_fusion(),
            window=settings.window,
            fields=settings.as_fields(),
            seconds=settings.budget_ms / 1000,
            on_failure=settings.on_failure,
            listwise=stage_two is not None and not settings.listwise_on_request,
            generator="" if stage_two is None else stage_two.name,
            min_relevance=settings.min_relevance or 0.0,
        ),
        models=models,
        rules=rules,
        max_concurrent=settings.max_concurrent,
        max_values=settings.max_body_values,
        allowed_hosts=frozenset(settings.allowed_hosts),
        advertised_address=address if address in {"auto", "off"} else check_address(address),
    )
