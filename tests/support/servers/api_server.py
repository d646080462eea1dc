"""The rerank API on a real socket, in front of the scripted scorer, in a thread of the test's own process."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

import httpx

from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.documents import PassageFields
from sidecar.core.model_spec import ModelSpec
from sidecar.serving.http.listeners import Listener, reserve
from sidecar.serving.http.metrics import Metrics
from sidecar.serving.rerank_api.app import rerank_api
from sidecar.serving.rerank_api.engine import ModelNames, RequestLimits, RerankEngine
from sidecar.serving.run import client_limits, listener_config
from sidecar.serving.scorer.client import ScorerClient
from sidecar.serving.scorer.score_cache import ScoreCache
from sidecar.serving.scorer.scorers import Scorers
from sidecar.serving.scorer.service import RerankingService
from sidecar.settings import Settings
from tests.support.servers.scripted import FAKE


class Served:
    """A running API, as a test needs it."""

    def __init__(self, url, engine, app):
        self.url = url
        self.engine = engine
        self.app = app
        self.client = httpx.Client(base_url=url, timeout=20)

    def post(self, path, body, **options):
        return self.client.post(path, json=body, **options)


@contextmanager
def served_api(
    *, limits=None, scorer_options=None, rates=None, neighbour_of=None, command=FAKE, stage_two=None, **options
):
    """Serve `rerank_api` with two declared models, `m` and `other`, and the alias `rerank-v3.5` for `m`."""
    started: dict = {}
    running = threading.Event()

    async def run():
        scorer = ScorerClient(
            {name: ModelSpec(model=name) for name in ("m", "other")}, command=command, **(scorer_options or {})
        )
        await scorer.start()
        service = RerankingService(
            Scorers([scorer], lambda: CircuitBreaker(5, 1.0), ("m", "other")),
            cache=ScoreCache(1000),
            rates=rates,
            stage_two=stage_two,
        )
        engine = RerankEngine(
            service, ModelNames(("m", "other"), {"rerank-v3.5": "m"}), limits or RequestLimits(), Metrics()
        )
        service.rates.on_refusal = engine.metrics.rate_limited
        neighbour = neighbour_of(service) if neighbour_of else None
        app = rerank_api(engine, fields=PassageFields(), extra=[neighbour] if neighbour else [], **options)
        settings = Settings(drain_seconds=1)
        listener = Listener(listener_config(settings, app, 0, client_limits(settings, 10_000)))
        opened = reserve("127.0.0.1", 0)
        url = f"http://127.0.0.1:{opened.getsockname()[1]}"
        started.update(listener=listener, served=Served(url, engine, app))
        serving = asyncio.create_task(listener.serve(sockets=[opened]))
        while not listener.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.01)
        running.set()
        await serving
        await scorer.stop()

    def main():
        try:
            asyncio.run(run())
        except BaseException as error:
            started["error"] = error
            raise
        finally:
            running.set()

    thread = threading.Thread(target=main)
    thread.start()
    running.wait(30)
    if "error" in started:
        raise RuntimeError("the API did not start") from started["error"]
    try:
        yield started["served"]
    finally:
        started["served"].client.close()
        started["listener"].should_exit = True
        thread.join(20)
