"""Whether OpenVINO computes for a checkpoint, and in which precision; elsewhere transformers does."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from sidecar.errors import ConfigurationError

if TYPE_CHECKING:
    from sidecar.scoring.checkpoint import Checkpoint

# Model types of the graph (`encoder_graph`).
FAMILIES = ("bert", "roberta", "xlm-roberta")


def choose_precision(checkpoint: Checkpoint, engine: str) -> str | None:
    """The precision OpenVINO computes in; None where `auto` leaves it to transformers.

    Raises ConfigurationError where `engine` asks for OpenVINO and it can't compute this checkpoint here.
    """
    obstacle = find_obstacle(checkpoint)
    if obstacle is None:
        return _precision(checkpoint)
    if engine == "auto":
        return None
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
