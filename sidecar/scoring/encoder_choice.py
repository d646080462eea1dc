"""Whether OpenVINO computes for a checkpoint, and in which precision; elsewhere transformers does."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.errors import ConfigurationError
from sidecar.scoring.probe import fastest
from sidecar.scoring.prompt import Tokens

if TYPE_CHECKING:
    from sidecar.scoring.checkpoint import Checkpoint

OPENVINO, TRANSFORMERS = "openvino", "transformers"
# Model types that there is a graph for (`encoder_graph`).
FAMILIES = ("bert", "roberta", "xlm-roberta")
# What the probe reads: lengths as passages have them, fewer rows the larger the model, so that it stays short.
LENGTHS = (96, 80, 72, 64, 56, 48, 40, 24)
ROWS_TIMES_PARAMETERS = 2e8
CPU_INFO = Path("/proc/cpuinfo")


def choose_precision(checkpoint: Checkpoint, engine: str) -> str | None:
    """The precision OpenVINO computes in; None where `auto` leaves it to transformers.

    With `auto` both are measured where they are not yet (`probe.fastest`). Raises ConfigurationError where `engine`
    asks for OpenVINO and it can't compute this checkpoint here.
    """
    obstacle = find_obstacle(checkpoint)
    if engine == "auto":
        return _precision(checkpoint) if obstacle is None and _is_fastest(checkpoint) else None
    if obstacle is None:
        return _precision(checkpoint)
    raise ConfigurationError(
        f"OpenVINO can't compute {checkpoint.name!r} here: {obstacle}.",
        remedy="Use the engine auto or transformers.",
    )


def find_obstacle(checkpoint: Checkpoint) -> str | None:
    """What keeps OpenVINO from computing a checkpoint here, in words; None where nothing does."""
    if importlib.util.find_spec("openvino") is None:
        return "openvino is not installed"
    model, config = checkpoint.model, checkpoint.model.config
    if model.device.type != "cpu":
        return f"it is on {model.device}, not on the CPU"
    if config.model_type not in FAMILIES or config.hidden_act != "gelu" or config.is_decoder:
        return f"its architecture is {type(model).__name__}, not one of {', '.join(FAMILIES)}"
    if getattr(model, "is_quantized", False):
        return "its weights are quantised"
    if model._compiled_call_impl is not None:  # noqa: SLF001  the one mark that torch leaves
        return "it is compiled by torch"
    from sidecar.scoring.openvino_engine import native_precisions

    precision, native = _precision(checkpoint), native_precisions()
    return None if precision in native else f"this CPU computes in {' and '.join(native)}, not in {precision}"


def _precision(checkpoint: Checkpoint) -> str:
    return str(checkpoint.model.dtype).removeprefix("torch.")


def _is_fastest(checkpoint: Checkpoint) -> bool:
    return fastest(lambda: _runs(checkpoint), OPENVINO, describe(checkpoint)) == OPENVINO


def describe(checkpoint: Checkpoint) -> dict[str, str]:
    """All that decides which engine is the fastest: CPU, threads, shape and precision of the model, libraries."""
    import torch

    config = checkpoint.model.config
    shape = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads")
    return {
        "cpu": cpu_name(),
        "threads": str(torch.get_num_threads()),
        "kind": checkpoint.manifest.kind,
        "model_type": config.model_type,
        "shape": " x ".join(str(getattr(config, name)) for name in shape),
        "precision": _precision(checkpoint),
        **{name: importlib.metadata.version(name) for name in ("openvino", "torch", "transformers")},
    }


def cpu_name() -> str:
    """What the CPU calls itself, or at least its kind."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _runs(checkpoint: Checkpoint) -> dict[str, Callable[[], object]]:
    from sidecar.scoring.openvino_engine import OpenVinoEmbedder, OpenVinoEngine
    from sidecar.scoring.padded import PaddedEmbedder, PaddedEngine

    rows, precision = rows_to_measure(checkpoint), _precision(checkpoint)
    if checkpoint.manifest.kind == "bi-encoder":
        embedders = (OpenVinoEmbedder(checkpoint, precision=precision), PaddedEmbedder(checkpoint))
        ready: list[Callable[[], object]] = [partial(embedder.vectors, rows) for embedder in embedders]
    else:
        engines = (OpenVinoEngine(checkpoint, precision=precision), PaddedEngine(checkpoint))
        ready = [partial(engine.logits, [rows]) for engine in engines]
    return dict(zip((OPENVINO, TRANSFORMERS), ready, strict=True))


def rows_to_measure(checkpoint: Checkpoint) -> list[Tokens]:
    """Random ids of real lengths: fewer rows the larger the model."""
    config = checkpoint.model.config
    parameters = config.num_hidden_layers * config.hidden_size * (4 * config.hidden_size + 2 * config.intermediate_size)
    count = max(1, int(ROWS_TIMES_PARAMETERS / parameters))
    draw = random.Random(0)  # noqa: S311  any ids do
    lengths = [min(length, checkpoint.manifest.max_length) for length in LENGTHS[:count]]
    return [Tokens([draw.randrange(config.vocab_size) for _ in range(length)]) for length in lengths]
