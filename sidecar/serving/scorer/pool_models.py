"""The models of several scorer processes: all must have the same ones, at the start and after a reload."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from sidecar.core.errors import ModelError, ScorerUnavailable
from sidecar.serving.scorer.pool_member import PoolMember
from sidecar.serving.scorer.process import ScorerProcess


def most_common_key(members: Sequence[PoolMember], model: str) -> str | None:
    """Return the key of a model that most processes have, of equals the first; None if none scores it."""
    counted = Counter(key for member in members if (key := member.key(model)) is not None)
    return counted.most_common(1)[0][0] if counted else None


def why_idle(member: PoolMember, members: Sequence[PoolMember]) -> str:
    """Return the reason why a process gets no work, or not for all of its models; empty if it does."""
    if not member.process.ready:
        return member.process.why_not_ready
    if member.silent(time.monotonic()):
        return "it owes an answer for too long"
    if member.breaker.open:
        return "it failed at what others could score"
    others = [model for model in member.process.models if not member.has(most_common_key(members, model))]
    return f"it has another {', '.join(others)} than other processes; reload it" if others else ""


async def start_all(processes: Sequence[ScorerProcess]) -> None:
    """Start the first process, then the others: they find the engine that the first one chose by measurement.

    Raises `ModelError`, with the device, if one can't load its models, or computes a model in another way.
    """
    await _start(processes[0])
    await asyncio.gather(*map(_start, processes[1:]))
    for process in processes:
        for model, loaded in process.loaded.items():
            first = next(one for one in processes if model in one.loaded)
            if first.loaded[model] != loaded:
                raise ModelError(
                    f"{process.device} computes {model} in another way than {first.device}: its scores would differ.",
                    remedy="Name devices of one kind, or place the model on some of them by model_devices.",
                )


async def _start(process: ScorerProcess) -> None:
    try:
        await process.start()
    except ModelError as error:
        raise ModelError(f"On {process.device}: {error.message}", remedy=error.remedy) from error


async def reload_all(
    members: Sequence[PoolMember], model: str, *, idle: Callable[[str], Awaitable[None]], dispatch: Callable[[], None]
) -> None:
    """Reload a model in one process after the other. While one reads it, the others score.

    A request is scored by processes that have the same files of the model. `idle` waits until the requests for a model,
    by its key, are answered: before the last process that has it reads another. `dispatch` is called when a process can
    score again. Raises what `ScorerProcess.reload` raises if the first one fails, and then nothing has changed;
    `ScorerUnavailable` if a later one does: it does not score the model until it was reloaded.
    """
    able = [member for member in members if member.key(model) is not None]
    if not able:
        raise ScorerUnavailable(
            next(member for member in members if model in member.process.models).process.why_not_ready
        )
    reloaded: list[PoolMember] = []
    for member in able:
        if (old := member.key(model)) is None:
            continue  # it ended meanwhile, and reads the new files when it is started again
        others = [other for other in members if other is not member and other.key(model) is not None]
        if reloaded and not any(other.has(old) for other in others):
            await idle(old)
        if others:
            member.reloading.add(model)
        try:
            await member.process.reload(model)
        except (ModelError, ScorerUnavailable) as error:
            if not reloaded:
                raise
            done, device = ", ".join(one.process.device for one in reloaded), member.process.device
            raise ScorerUnavailable(
                f"{model} was reloaded on {done}, but not on {device}, which does not score it now: {error.message}"
            ) from error
        finally:
            member.reloading.discard(model)
            dispatch()
        reloaded.append(member)
