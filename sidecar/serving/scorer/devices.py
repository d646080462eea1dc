"""Which device scores which model, and how many threads each process has."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence

from sidecar.core.errors import ConfigurationError
from sidecar.core.model_spec import ModelSpec
from sidecar.scoring.hardware import threads

AUTO = "auto"
_NAME = re.compile(r"cpu|mps|cuda(:\d{1,3})?")
_log = logging.getLogger("sidecar.scorer")


def check_devices(devices: Sequence[str], device: str) -> None:
    """Raise `ConfigurationError` for names that are no devices, or that contradict the setting `device`."""
    for name in devices:
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"devices: {name!r} is no device of a scorer process.",
                remedy="Write auto alone, or names such as cuda:0, cuda:1, cpu with commas between.",
            )
    if "cuda" in devices and len(devices) > 1:
        raise ConfigurationError("devices: cuda does not say which GPU.", remedy="Write cuda:0, cuda:1 …")
    if any(device not in {AUTO, name, kind(name)} for name in devices):
        raise ConfigurationError(
            f"device is {device}, but devices is {','.join(devices)}.", remedy="Leave one of the two out."
        )


def kind(device: str) -> str:
    """Return the kind of a device: cuda for cuda:1."""
    return device.partition(":")[0]


def place(
    local: Mapping[str, ModelSpec], declared: Iterable[str], devices: Sequence[str], wanted: Mapping[str, str]
) -> list[dict[str, ModelSpec]]:
    """Return the models of each device; `wanted` names the devices of models that not all of them score.

    Raises `ConfigurationError` for a name that is no declared local model or no device, for a device without a model,
    and for devices of different kinds for one model: their scores would differ.
    """
    chosen: dict[str, Sequence[str]] = dict.fromkeys(local, devices)
    for model, text in wanted.items():
        names = tuple(part.strip() for part in text.split(",") if part.strip())
        if model not in local:
            why = "is scored by a server" if model in set(declared) else "is not declared"
            raise ConfigurationError(
                f"model_devices: {model} {why}.", remedy=f"Local models: {', '.join(local) or 'none'}."
            )
        if not names or not set(names) <= set(devices):
            raise ConfigurationError(
                f"model_devices: {model} is placed on {text!r}, but devices is {','.join(devices)}.",
                remedy="Place it on some of the devices.",
            )
        chosen[model] = names
    for model, on in chosen.items():
        if len(kinds := sorted({kind(name) for name in on})) > 1:
            raise ConfigurationError(
                f"devices: {model} would be scored on {' and '.join(kinds)}, whose scores differ.",
                remedy="Name devices of one kind, or place each model on one kind by model_devices.",
            )
    placed = [{name: spec for name, spec in local.items() if device in chosen[name]} for device in devices]
    for device, models in zip(devices, placed, strict=True):
        if not models:
            raise ConfigurationError(
                f"devices: no model is placed on {device}.", remedy="Leave it out, or place a model on it."
            )
    return placed


def thread_shares(devices: Sequence[str], environ: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the variables that give each process on the CPU its share of the threads; none if it is the only one."""
    sharing, total = devices.count("cpu"), threads()
    if sharing < 2:
        return [{} for _ in devices]
    if sharing > total:
        _log.warning("devices: %d processes on the CPU share %d threads", sharing, total)
    counts = iter([max(1, total // sharing + (number < total % sharing)) for number in range(sharing)])
    return [_threads(next(counts), environ) if device == "cpu" else {} for device in devices]


def _threads(count: int, environ: Mapping[str, str]) -> dict[str, str]:
    # torch prefers MKL's own variable to OpenMP's; tokenizers have one of their own.
    names = ["OMP_NUM_THREADS", *(["MKL_NUM_THREADS"] if "MKL_NUM_THREADS" in environ else []), "RAYON_NUM_THREADS"]
    return {name: str(count) for name in names}
