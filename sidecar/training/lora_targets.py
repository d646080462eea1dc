"""Choose the trained parts of a classifier: modules that get a LoRA, and modules trained whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from sidecar.core.errors import ConfigurationError
from sidecar.scoring.checkpoints.architecture import is_decoder

# DeAR's card: the seven linear modules of a Llama's layer, which Mistral, Qwen and Gemma have by the same names.
LLAMA = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class TrainedModules:
    """Names as peft takes them, each the end of a module's path.

    `heads` are trained whole and saved with the adapter, `targets` get a LoRA, `excluded` are modules in a head that
    would match a target's name.
    """

    heads: list[str]
    targets: list[str]
    excluded: list[str]


def choose_modules(model: Any, wanted: Sequence[str]) -> TrainedModules:
    """Choose the targets: the wanted ones, or the usual ones of the architecture.

    Raises ConfigurationError for targets that the model lacks, and names the linear modules it has.
    """
    heads = head_modules(model)
    paths = {
        name: in_head(name, model, heads) for name, module in model.named_modules() if isinstance(module, nn.Linear)
    }
    names = dict.fromkeys(name.rpartition(".")[2] for name, inside in paths.items() if not inside)
    targets = list(wanted or (LLAMA if is_decoder(model) else names))
    lacking = [
        target for target in targets if not any(_fits(name, target) for name, inside in paths.items() if not inside)
    ]
    if lacking:
        raise ConfigurationError(
            f"{type(model).__name__} has no linear module {', '.join(lacking)}; it has {', '.join(names)}.",
            remedy="Name some of those with --lora-targets.",
        )
    excluded = [name for name, inside in paths.items() if inside and any(_fits(name, target) for target in targets)]
    return TrainedModules(heads, targets, excluded)


def head_modules(model: Any) -> list[str]:
    """Return the modules with weights outside the encoder or decoder, and the pooler, unused by mean pooling."""
    inner = getattr(model, model.base_model_prefix)
    heads = [
        name
        for name, module in model.named_children()
        if module is not inner and next(module.parameters(), None) is not None
    ]
    return heads if getattr(inner, "pooler", None) is None else [*heads, "pooler"]


def in_head(path: str, model: Any, heads: Sequence[str]) -> bool:
    """True if a module or weight is in one of the heads."""
    inside = path.removeprefix(f"{model.base_model_prefix}.")
    return any(inside == head or inside.startswith(f"{head}.") for head in heads)


def _fits(path: str, target: str) -> bool:
    return path == target or path.endswith(f".{target}")
