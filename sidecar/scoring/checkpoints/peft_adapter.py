"""Apply an adapter to a transformers model by peft: use every tensor of its file, and merge if that is exact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar.core.errors import ModelError
from sidecar.scoring.checkpoints.adapter_settings import check_supported, merges
from sidecar.scoring.checkpoints.lora_adapter import (
    PREFIX,
    SCORING,
    check_complete,
    check_fit,
    mismatch,
    read_config,
    read_tensors,
)
from sidecar.scoring.checkpoints.quiet import quiet_libraries


def apply_adapter(  # noqa: PLR0913  called in one place, by keyword
    model: Any, directory: Path, base: str, *, missing: set[str], enabled: bool, dtype: Any, task: str = SCORING
) -> Any:
    """Apply an adapter to its base and merge it, layer by layer: in fp32, cast to `dtype` once; None does not merge.

    An adapter that a merge would change (`adapter_settings.merges`) stays beside the base. `missing` are the weights
    that the base checkpoint did not have. With `enabled` False the LoRA is left out, and only modules that it saves
    whole are taken, such as the score head. Raises AdapterMismatch if shapes or modules do not fit, ModelError for a
    setting that peft can't apply, for tensors that it does not use, and if neither the adapter nor the base has a head.
    """
    config, tensors = read_config(directory, task), read_tensors(directory)
    recorded = str(config.get("base_model_name_or_path"))
    whole = _fitted(model, directory, config, tensors, base=base, missing=missing)
    if dtype is not None:
        # peft copies modules that the adapter saves whole into the base's parameters, whose dtype may have fewer bits.
        for key, parameter in model.named_parameters():
            if key in whole:
                parameter.data = parameter.data.to(dtype)
    if not enabled:
        model.load_state_dict(whole, strict=False)
        return model
    adapted = _load(model, directory, tensors, recorded=recorded, base=base)
    if dtype is None or not merges(config):
        return _with_plain_heads(adapted.base_model.model)
    try:
        return _merged(adapted, dtype)
    except RuntimeError as error:
        raise _explain(error, directory, recorded, base) from error


def load_adapter(model: Any, directory: Path, base: str, *, missing: set[str], trainable: bool) -> Any:
    """Return peft's model of a base with an adapter beside it; `trainable` gives the adapter gradients.

    Raises what `apply_adapter` raises.
    """
    config, tensors = read_config(directory), read_tensors(directory)
    whole = _fitted(model, directory, config, tensors, base=base, missing=missing)
    for key, parameter in model.named_parameters():
        if key in whole:
            parameter.data = parameter.data.to(whole[key].dtype)
    recorded = str(config.get("base_model_name_or_path"))
    return _load(model, directory, tensors, recorded=recorded, base=base, trainable=trainable)


def _fitted(  # noqa: PLR0913  what is compared, by keyword
    model: Any,
    directory: Path,
    config: Mapping[str, Any],
    tensors: dict[str, Any],
    *,
    base: str,
    missing: set[str],
) -> dict[str, Any]:
    """Compare an adapter with its base, which gets the adapter's number of embeddings; return the whole modules."""
    recorded = str(config.get("base_model_name_or_path"))
    check_supported(config, directory)
    whole = {key: tensors[key] for key in tensors.keys() & model.state_dict().keys()}
    check_fit(_linear_shapes(model), tensors, recorded, base)
    check_complete(missing - whole.keys(), directory)
    _resize_vocabulary(model, tensors)
    for key, parameter in model.state_dict().items():
        if key in whole and whole[key].shape != parameter.shape:
            raise mismatch(
                recorded, base, f"{key} is {tuple(parameter.shape)}, the adapter's {tuple(whole[key].shape)}"
            )
    return whole


def _load(  # noqa: PLR0913  the parts to load, by keyword
    model: Any, directory: Path, tensors: Mapping[str, Any], *, recorded: str, base: str, trainable: bool = False
) -> Any:
    """Load the adapter by peft, and compare its tensors with those that peft would save from the loaded model."""
    with quiet_libraries():
        from peft import LoraConfig, PeftModel, get_peft_model_state_dict

        config = LoraConfig.from_pretrained(str(directory))
    saved = {key.partition(".lora_")[0] for key in tensors}
    if config.modules_to_save and not _holds(config.modules_to_save, saved):
        # The base has the complete head, or `check_complete` would have raised: peft need not replace it.
        config.task_type, config.modules_to_save = None, None
    elif str(config.task_type) == "SEQ_CLS" and not _holds(("score", "classifier"), saved):
        config.task_type = None
    try:
        with quiet_libraries():
            adapted = PeftModel.from_pretrained(
                model, str(directory), config=config, torch_device=str(model.device), is_trainable=trainable
            )
            expected = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    except (ValueError, RuntimeError, KeyError, TypeError, ImportError, NotImplementedError, AttributeError) as error:
        raise _explain(error, directory, recorded, base) from error
    if config.layer_replication:
        _check_repeated(adapted, directory, recorded, base)
    loaded = {key.removeprefix(PREFIX) for key in expected}
    absent = sorted(loaded - tensors.keys())
    if absent:
        raise mismatch(recorded, base, f"it has no weights for {absent[0].partition('.lora_')[0]}")
    plain = {key.removeprefix(PREFIX) for key in adapted.state_dict()}
    unused = sorted(tensors.keys() - loaded - plain)
    if unused:
        raise mismatch(recorded, base, f"it has no {unused[0].partition('.lora_')[0]}")
    return adapted


def _check_repeated(adapted: Any, directory: Path, recorded: str, base: str) -> None:
    """Compute one token: peft repeats layers, but not the tables that some models index by layer number."""
    import torch

    layers = adapted.base_model.model.base_model  # without the head, whose dtype may differ until it is placed
    try:
        with torch.inference_mode():
            layers(input_ids=torch.zeros((1, 1), dtype=torch.long, device=adapted.device))
    except (LookupError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        failed = ValueError(f"the model fails with the layers that layer_replication repeats ({error})")
        raise _explain(failed, directory, recorded, base) from error


def _explain(error: Exception, directory: Path, recorded: str, base: str) -> ModelError:
    """Turn an error of peft into one of ours: missing modules or other shapes mean that the base is another one."""
    text = str(error).strip() or type(error).__name__
    if any(sign in text for sign in ("size mismatch", "not found in the base model", "No modules were targeted")):
        return mismatch(recorded, base, text.splitlines()[-1].strip())
    return ModelError(f"peft can't put the adapter {directory} on {base}: {text}", remedy="Save the adapter again.")


def _holds(modules: Any, saved: set[str]) -> bool:
    return any(f".{module}." in f".{key}." for module in modules for key in saved)


def _merged(adapted: Any, dtype: Any) -> Any:
    from peft.tuners.lora import LoraLayer

    with quiet_libraries():
        for layer in adapted.base_model.model.modules():
            if isinstance(layer, LoraLayer):
                # In bf16 the small update is rounded twice: 0.046 sigma of the scores at worst, against 0.028 this way.
                layer.get_base_layer().float()
                layer.merge()
                layer.get_base_layer().to(dtype)
        return adapted.merge_and_unload()


def _with_plain_heads(model: Any) -> Any:
    """Replace modules by those that the adapter saves whole."""
    from peft.utils.other import ModulesToSaveWrapper

    for name, child in list(model.named_children()):
        if isinstance(child, ModulesToSaveWrapper):
            setattr(model, name, child.modules_to_save["default"])
    return model


def _resize_vocabulary(model: Any, tensors: Mapping[str, Any]) -> None:
    """Give the base as many rows of embeddings as the adapter has; the adapter contains all rows."""
    embeddings = model.get_input_embeddings()
    name = next(name for name, module in model.named_modules() if module is embeddings)
    brought = next((tensors[key] for key in (f"{name}.weight", f"{name}.base_layer.weight") if key in tensors), None)
    if brought is not None and len(brought) != embeddings.weight.shape[0]:
        with quiet_libraries():
            model.resize_token_embeddings(len(brought), mean_resizing=False)


def _linear_shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of linear weights before they were quantised."""
    return {
        name: (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if hasattr(module, "out_features")
    }
