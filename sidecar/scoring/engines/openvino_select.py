"""Decide whether OpenVINO or torch computes for a checkpoint, and OpenVINO's precision.

If no dtype was set, bfloat16 is also a candidate, on CPUs that have it: it is taken if it is clearly faster and hardly
changes the scores of a few texts.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sidecar.core.errors import ConfigurationError
from sidecar.scoring import hardware
from sidecar.scoring.checkpoints.encoder_model import WEIGHT_NAMES, EncoderModel
from sidecar.scoring.engines.autotune import fastest
from sidecar.scoring.engines.bfloat16_check import deviation
from sidecar.scoring.engines.names import BFLOAT16, FLOAT32, OPENVINO, PACKED, PRECISION_OF, TRANSFORMERS
from sidecar.scoring.engines.packed_encoders.readable import packs_encoder
from sidecar.scoring.hardware import cpu_name, threads
from sidecar.scoring.prompt import Tokens

if TYPE_CHECKING:
    from sidecar.scoring.checkpoints.checkpoint import Checkpoint

# Model types that have a graph (`openvino_graph`).
FAMILIES = ("bert", "roberta", "xlm-roberta")
# Lengths of the rows to measure, similar to passages; a larger model gets fewer rows, so that it takes little time.
LENGTHS = (96, 80, 72, 64, 56, 48, 40, 24)
ROWS_TIMES_PARAMETERS = 2e8
# The limit for bfloat16's change of a score, in standard deviations (`bfloat16_check`). A model that loses accuracy in
# bfloat16 exceeds it; rounding alone changes a twentieth.
TOLERANCE = 0.15


def choose_precision(checkpoint: Checkpoint, engine: str, *, reduced: bool = False) -> str | None:
    """Return the precision OpenVINO computes in; None if `auto` chooses torch.

    The candidates are measured unless a choice is remembered (`autotune.fastest`): with `auto` the packed engine too,
    or transformers for a model that it can't compute, and with `reduced`, for weights in float32, bfloat16 if the CPU
    has it and the scores hardly change. Raises ConfigurationError if `engine` is OpenVINO and it can't compute this
    checkpoint here.
    """
    obstacle = find_obstacle(checkpoint)
    if obstacle is not None:
        if engine == "auto":
            return None
        raise ConfigurationError(
            f"OpenVINO can't compute {checkpoint.name!r} here: {obstacle}.",
            remedy="Use the engine auto or transformers.",
        )
    names = [OPENVINO[precision] for precision in _precisions(checkpoint, reduced=reduced)]
    # Only OpenVINO can compute with numpy arrays, so their reader has already decided.
    if engine == "auto" and not isinstance(checkpoint.model, EncoderModel):
        names.append(PACKED if packs_encoder(checkpoint, engine) else TRANSFORMERS)
    first, *others = names
    chosen = fastest(partial(_runs, checkpoint, names), first, describe(checkpoint, names)) if others else first
    return PRECISION_OF.get(chosen)


def find_obstacle(checkpoint: Checkpoint) -> str | None:
    """Say why OpenVINO can't compute a checkpoint here; None if it can."""
    if isinstance(checkpoint.model, EncoderModel):
        return None
    return _obstacle(checkpoint.model, _precision(checkpoint))


def _obstacle(model: Any, precision: str) -> str | None:
    """Do the same for a transformers model whose weights have this precision."""
    if importlib.util.find_spec("openvino") is None:
        return "openvino is not installed"
    config = model.config
    if model.device.type != "cpu":
        return f"it is on {model.device}, not on the CPU"
    if config.model_type not in FAMILIES or config.hidden_act != "gelu" or config.is_decoder:
        return f"its architecture is {type(model).__name__}, not one of {', '.join(FAMILIES)}"
    strange = next((name for name, _ in model.named_parameters() if not WEIGHT_NAMES.fullmatch(name)), None)
    if strange is not None or getattr(model, "is_quantized", False):
        return f"it has the weight {strange}, which the graph does not have" if strange else "its weights are quantised"
    if model._compiled_call_impl is not None:  # noqa: SLF001  torch offers no public sign of it
        return "it is compiled by torch"
    native = hardware.native_precisions()
    return None if precision in native else f"this CPU computes in {' and '.join(native)}, not in {precision}"


def _precision(checkpoint: Checkpoint) -> str:
    if isinstance(checkpoint.model, EncoderModel):
        return FLOAT32
    return str(checkpoint.model.dtype).removeprefix("torch.")


def _precisions(checkpoint: Checkpoint, *, reduced: bool) -> Iterator[str]:
    yield (own := _precision(checkpoint))
    if reduced and own == FLOAT32 and BFLOAT16 in hardware.native_precisions():
        yield BFLOAT16


def describe(checkpoint: Checkpoint, names: Sequence[str]) -> dict[str, str]:
    """Return all that decides which of the named engines is the fastest: CPU, threads, the model's shape, libraries.

    The model's name is included if the choice depends on its scores, too.
    """
    config = checkpoint.model.config
    shape = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads")
    return {
        "cpu": cpu_name(),
        "threads": str(threads()),
        "instructions": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),  # oneDNN's limit, which its user sets
        "kind": checkpoint.manifest.kind,
        "model_type": config.model_type,
        "shape": " x ".join(str(getattr(config, name)) for name in shape),
        "engines": " ".join(names),
        "model": checkpoint.name if OPENVINO[BFLOAT16] in names else "",
        **{name: importlib.metadata.version(name) for name in ("rerank-sidecar", "openvino", "torch", "transformers")},
    }


def _runs(checkpoint: Checkpoint, names: Sequence[str]) -> dict[str, Callable[[], object]]:
    rows = rows_to_measure(checkpoint)
    engines = {name: engine for name in names if (engine := _candidate(checkpoint, name)) is not None}
    exact, rounded = (engines.get(OPENVINO[precision]) for precision in (FLOAT32, BFLOAT16))
    if exact and rounded and deviation(checkpoint, exact, rounded) > TOLERANCE:
        del engines[OPENVINO[BFLOAT16]]
    if checkpoint.manifest.kind == "bi-encoder":
        return {name: partial(engine.vectors, rows) for name, engine in engines.items()}
    return {name: partial(engine.logits, [rows]) for name, engine in engines.items()}


def _candidate(checkpoint: Checkpoint, name: str) -> Any:
    """Return an engine to measure; None for bfloat16 if the CPU names it and lacks an operation in it."""
    try:
        return _engine(checkpoint, name)
    except RuntimeError:
        if PRECISION_OF.get(name) == BFLOAT16:
            return None
        raise


def _engine(checkpoint: Checkpoint, name: str) -> Any:
    from sidecar.scoring.engines.openvino import OpenVinoEmbedder, OpenVinoEngine

    embeds = checkpoint.manifest.kind == "bi-encoder"
    if name == PACKED:
        from sidecar.scoring.engines.packed_encoders.engine import PackedEmbedder, PackedEncoder

        return PackedEmbedder(checkpoint) if embeds else PackedEncoder(checkpoint)
    if name == TRANSFORMERS:
        from sidecar.scoring.engines.transformers import PaddedEmbedder, PaddedEngine

        return PaddedEmbedder(checkpoint) if embeds else PaddedEngine(checkpoint)
    return (OpenVinoEmbedder if embeds else OpenVinoEngine)(checkpoint, precision=PRECISION_OF[name])


def rows_to_measure(checkpoint: Checkpoint) -> list[Tokens]:
    """Make random ids of typical lengths: fewer rows for a larger model."""
    config = checkpoint.model.config
    parameters = config.num_hidden_layers * config.hidden_size * (4 * config.hidden_size + 2 * config.intermediate_size)
    count = max(1, int(ROWS_TIMES_PARAMETERS / parameters))
    draw = random.Random(0)  # noqa: S311  any ids do
    lengths = [min(length, checkpoint.manifest.max_length) for length in LENGTHS[:count]]
    return [Tokens([draw.randrange(config.vocab_size) for _ in range(length)]) for length in lengths]
