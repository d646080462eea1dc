"""Build the service from the settings and run it: two listeners and one scorer that end together."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from functools import partial

import uvicorn

from sidecar.core.errors import ConfigurationError
from sidecar.serving.build import parts
from sidecar.serving.http.access_log import write_json_lines
from sidecar.serving.http.garbage_collection import collect_when_idle, look_rarely
from sidecar.serving.http.head_limits import ClientLimits, HeadLimits
from sidecar.serving.http.listeners import Listener, reserve, serve_together
from sidecar.serving.http.open_files import client_connections, quiet_accept_errors
from sidecar.serving.http.tls import ServerTls, TlsFiles
from sidecar.serving.scorer.process import COMMAND
from sidecar.settings import Settings, ignored_variables

_log = logging.getLogger("sidecar.service")
_IGNORED = "ignored, since they are Kubernetes service links, not settings: %s (enableServiceLinks: false stops them)"


async def serve(settings: Settings, command: Sequence[str] = COMMAND) -> None:
    """Serve until SIGINT or SIGTERM, then finish the requests in progress; `command` runs the scorer process.

    While models are loaded it already answers, in OpenSearch's order, but is not ready. Raises `ModelError` if they
    can't be loaded, `ConfigurationError` for settings that contradict each other.
    """
    write_json_lines()
    if ignored := ignored_variables():
        _log.warning(_IGNORED, ", ".join(ignored))
    # The event loop gets the interpreter within a millisecond, whatever another thread does.
    sys.setswitchinterval(0.001)
    tls = server_tls(settings)
    quiet_accept_errors(asyncio.get_running_loop())
    limits = client_limits(settings, client_connections(settings.upstream_connections))
    with reserve(settings.host, settings.port) as first, reserve(settings.host, settings.api_port) as second:
        async with parts(settings, command) as running:
            proxy, api = running.ports
            listeners = [
                (Listener(listener_config(settings, proxy, settings.port, limits, tls)), first),
                (Listener(listener_config(settings, api, settings.api_port, limits, tls)), second),
            ]
            ports = (("OpenSearch's clients", first), ("the rerank API's", second))
            scheme = "http" if tls is None else "https"
            at = ", ".join(f"{scheme}://{settings.host}:{opened.getsockname()[1]} for {name}" for name, opened in ports)
            _log.info("listening: %s", at)
            if settings.ui:
                _log.info("the page: %s://%s:%d/ui", scheme, settings.host, second.getsockname()[1])
            _log.info("loading the models; until then searches are answered in first-stage order")
            introduction = asyncio.create_task(running.cluster.introduce())
            look_rarely()
            collecting = asyncio.create_task(collect_when_idle(lambda: running.proxy.in_flight == 0))

            def loaded(loading: asyncio.Task[None]) -> None:
                if loading.cancelled():
                    return
                if loading.exception() is None:
                    _log.info("ready: scoring with %s", ", ".join(running.service.scorers.models))
                    return
                for listener, _ in listeners:
                    listener.should_exit = True

            running.loading.add_done_callback(loaded)
            await serve_together(listeners, reload=None if tls is None else tls.reload)
            introduction.cancel()
            collecting.cancel()
            if running.loading.done():
                running.loading.result()


def server_tls(settings: Settings) -> ServerTls | None:
    """The TLS of both ports, if the settings ask for it. Raises `ConfigurationError`."""
    if settings.tls_cert is not None:
        return ServerTls(TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca))
    if settings.tls_key is not None or settings.tls_client_ca is not None:
        raise ConfigurationError(
            "tls_key or tls_client_ca is set, but there is no certificate.", remedy="Set tls_cert."
        )
    return None


def client_limits(settings: Settings, connections: int) -> ClientLimits:
    """Return the limits of each listener's clients."""
    return ClientLimits(settings.slow_client_seconds, settings.slow_client_rate, connections)


def listener_config(
    settings: Settings, app: object, port: int, limits: ClientLimits, tls: ServerTls | None = None
) -> uvicorn.Config:
    """Return the configuration of a listener."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=settings.host,
        port=port,
        http=partial(HeadLimits, limits=limits),  # type: ignore[arg-type]
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=int(settings.drain_seconds),
        timeout_keep_alive=75,
        proxy_headers=False,
        ws="none",
        # asyncio accepts up to this many at once, and tries as often again while no file is free for one.
        backlog=512,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls.context,
    )
