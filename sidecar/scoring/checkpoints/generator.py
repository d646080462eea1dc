"""Load a causal language model with its head, which generates text, with a LoRA adapter if it has one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidecar.scoring.checkpoints.adapter_settings import changes_base
from sidecar.scoring.checkpoints.architecture import check_config
from sidecar.scoring.checkpoints.checkpoint import Placement, place_model
from sidecar.scoring.checkpoints.lora_adapter import GENERATING, check_complete, read_config
from sidecar.scoring.checkpoints.peft_adapter import apply_adapter
from sidecar.scoring.checkpoints.pretrained import is_quantized, load_pretrained


def load_generator(directory: Path, placement: Placement, *, adapter: Path | None = None, base: str = "") -> Any:
    """Load a model for generation; an adapter is merged as a reranker's is (`load_classifier`).

    `base` is the name of the base model for messages. Raises ModelError for missing weights or a format other than
    safetensors, AdapterMismatch.
    """
    import torch
    from transformers import AutoModelForCausalLM

    check_config(directory)
    dtype = placement.torch_dtype()
    loaded: Any = dtype
    if adapter and placement.quantization == "none":
        # The stored dtype is kept until the merge, so that there is only one cast, after it.
        in_full = dtype == torch.float32 or changes_base(read_config(adapter, GENERATING))
        loaded = torch.float32 if in_full else "auto"
    model, missing = load_pretrained(AutoModelForCausalLM, directory, placement, dtype=loaded)
    if adapter is None:
        check_complete(missing, directory)
    else:
        merged = None if is_quantized(model) else dtype
        model = apply_adapter(model, adapter, base, missing=missing, enabled=True, dtype=merged, task=GENERATING)
    return place_model(model, placement)
