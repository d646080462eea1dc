"""Build the scorers from the settings: one process, one for each of several devices, and a client for remote ones."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.errors import ConfigurationError
from sidecar.core.model_spec import ModelSpec
from sidecar.serving.scorer.client import ScorerClient
from sidecar.serving.scorer.devices import AUTO, check_devices, place, thread_shares
from sidecar.serving.scorer.pool import ScorerPool
from sidecar.serving.scorer.process import ScorerProcess
from sidecar.serving.scorer.remote_client import RemoteScorerClient
from sidecar.serving.scorer.scorers import ScorerLink, Scorers
from sidecar.settings import Settings

# Prints the devices that torch sees, in a process of its own: the service does not load torch.
VISIBLE = (sys.executable, "-m", "sidecar.scoring.visible_devices")


async def build_scorers(settings: Settings, models: Mapping[str, ModelSpec], command: Sequence[str]) -> Scorers:
    """Make the scorers of all declared models; `command` runs a scorer process.

    Raises `ConfigurationError` for a remote model with settings of a local one, and for unfit devices.
    """
    links: list[ScorerLink] = []
    local = {name: spec for name, spec in models.items() if not spec.is_remote}
    if settings.devices or settings.model_devices:
        links.append(await _pool(settings, local, models, command))
    elif local:
        links.append(
            ScorerClient(local, command=command, most_waiting=settings.max_queue, **_options(settings, settings.device))
        )
    if remote := {name: spec for name, spec in models.items() if spec.is_remote}:
        links.append(RemoteScorerClient(remote, most_waiting=settings.max_queue, slice_seconds=settings.slice_seconds))
    return Scorers(links, lambda: _breaker(settings), tuple(models))


async def _pool(
    settings: Settings, local: Mapping[str, ModelSpec], models: Mapping[str, ModelSpec], command: Sequence[str]
) -> ScorerPool:
    """Make a process for each device. Raises `ConfigurationError` for devices that do not fit the other settings."""
    if not settings.devices:
        raise ConfigurationError("model_devices is set, but devices is not.", remedy="Set SIDECAR_DEVICES.")
    if not local:
        raise ConfigurationError(
            "devices is set, but every declared model is scored by a server.", remedy="Leave SIDECAR_DEVICES out."
        )
    devices = await _visible() if settings.devices == (AUTO,) else settings.devices
    check_devices(devices, settings.device)
    shares = thread_shares(devices, os.environ)
    processes = [
        ScorerProcess(
            {name: replace(spec, device=device) for name, spec in placed.items()},
            command=command,
            environment=share,
            **_options(settings, device),
        )
        for device, placed, share in zip(
            devices, place(local, models, devices, settings.model_devices), shares, strict=True
        )
    ]
    return ScorerPool(
        processes, lambda: _breaker(settings), slice_seconds=settings.slice_seconds, most_waiting=settings.max_queue
    )


def _options(settings: Settings, device: str) -> dict[str, Any]:
    return {
        "slice_seconds": settings.slice_seconds,
        "hang_seconds": settings.hang_seconds,
        "merged_adapters": settings.merged_adapters,
        "device": device,
    }


def _breaker(settings: Settings) -> CircuitBreaker:
    return CircuitBreaker(settings.breaker_failures, settings.breaker_seconds)


async def _visible() -> tuple[str, ...]:
    """Return the devices that torch sees. Raises `ConfigurationError` if it can't be asked."""
    process = await asyncio.create_subprocess_exec(
        *VISIBLE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode or not out.split():
        last = err.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise ConfigurationError(
            f"devices: auto: torch can't be asked for its devices: {last}", remedy="Name the devices."
        )
    return tuple(out.decode().split())
