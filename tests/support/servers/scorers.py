"""Scripted scorers as the service runs them, for the length of a test: one process, or several behind one queue."""

from __future__ import annotations

import asyncio

from sidecar.core.candidates import Passage, Score
from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.model_spec import ModelSpec
from sidecar.serving.scorer.client import ScorerClient
from sidecar.serving.scorer.pool import ScorerPool
from sidecar.serving.scorer.process import ScorerProcess
from tests.support.servers.scripted import FAKE

LONG = "word " * 200  # so that the service estimates 250 tokens


def scored(*values):
    return [Score(float(value)) for value in values]


def slow(count, milliseconds=20, start=0):
    return [Passage("", f"score {start + i} sleep {milliseconds} {LONG}") for i in range(count)]


def with_client(test, *, models=("m",), **options):
    """Run a test with one process."""
    return _run(test, ScorerClient({name: ModelSpec(model=name) for name in models}, command=FAKE, **options))


def with_pool(test, *, devices=("cuda:0", "cuda:1"), models=("m",), failures=3, model_of=str, **options):
    """Run a test with processes that call themselves by these devices, each with all models."""
    pooled = {name: options.pop(name) for name in ("most_waiting", "slice_seconds") if name in options}
    processes = [
        ScorerProcess(
            {name: ModelSpec(model=model_of(name), device=device) for name in models},
            command=FAKE,
            device=device,
            slice_seconds=pooled.get("slice_seconds", 0.25),
            **options,
        )
        for device in devices
    ]
    return _run(test, ScorerPool(processes, lambda: CircuitBreaker(failures, 60.0), **pooled))


def _run(test, scorer):
    async def run():
        await scorer.start()
        try:
            async with asyncio.timeout(60):
                return await test(scorer)
        finally:
            await scorer.stop()

    return asyncio.run(run())
