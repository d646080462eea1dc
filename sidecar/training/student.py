"""The model in training: a transformers classifier, with a LoRA or trained whole, and its files on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from sidecar.core.errors import ConfigurationError, ModelError
from sidecar.scoring.checkpoints.architecture import check_length, is_decoder
from sidecar.scoring.checkpoints.checkpoint import (
    Checkpoint,
    Placement,
    default_manifest,
    load_tokenizer,
    load_untrained,
)
from sidecar.scoring.checkpoints.files import holds_tokenizer
from sidecar.scoring.checkpoints.lora_adapter import WEIGHTS, check_complete, is_adapter, tokenizer_directory
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.checkpoints.presets import PRESETS
from sidecar.scoring.checkpoints.quiet import quiet_libraries
from sidecar.scoring.loading import Located, locate
from sidecar.settings.training import TrainingSettings
from sidecar.training.continued import continued
from sidecar.training.lora_targets import TrainedModules, choose_modules, head_modules, in_head

# From this many weights on, activations are recomputed unless settings say otherwise: the activations of a batch of the
# card's size take twice the memory of a 3B model's weights.
LARGE = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Base:
    """The base of a student: `name` is the name that an adapter will record; `adapter` is trained further."""

    name: str
    located: Located
    revision: str | None = None
    adapter: Located | None = None

    @property
    def directories(self) -> list[Path]:
        """Return the directories of all weights that a training starts from."""
        return [found.directory for found in (self.located, self.adapter) if found is not None]


class Student(nn.Module):
    """Scores pairs with gradients as `sidecar.scoring` does without: pooled by true length, the head in float32.

    `model` is the classifier itself, or peft's wrapper around it. `own_tokenizer` is True for an adapter whose
    tokenizer is not its base's.
    """

    def __init__(self, model: Any, *, adapted: bool, own_tokenizer: bool = False) -> None:
        super().__init__()
        self.model = model
        self.adapted = adapted
        self.own_tokenizer = own_tokenizer

    @property
    def classifier(self) -> Any:
        """Return the transformers classifier, without wrappers."""
        return self.model.base_model.model if self.adapted else self.model

    def forward(self, passes: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """Return one logit for each row of each forward pass, in one vector of float32."""
        logits = self._decoder if is_decoder(self.classifier) else self._encoder
        return torch.cat([logits(inputs) for inputs in passes])

    def _encoder(self, inputs: Mapping[str, Tensor]) -> Tensor:
        found: Tensor = self.classifier(**inputs).logits[:, 0].float()
        return found

    def _decoder(self, inputs: Mapping[str, Tensor]) -> Tensor:
        hidden = self.classifier.base_model(**inputs, use_cache=False).last_hidden_state
        last = inputs["attention_mask"].sum(1) - 1
        rows = hidden[torch.arange(len(last), device=hidden.device), last.to(hidden.device)]
        with torch.autocast(hidden.device.type, enabled=False):
            found: Tensor = self.classifier.score(rows.float())[:, 0]
        return found

    def save(self, directory: Path) -> None:
        """Write the trained weights, in peft's or transformers' format."""
        with quiet_libraries():
            if self.adapted:
                # peft need not ask the hub whether the base's vocabulary has grown: nothing here changes it.
                self.model.save_pretrained(str(directory), save_embedding_layers=False)
            else:
                self.model.save_pretrained(str(directory))

    def load(self, directory: Path) -> None:
        """Load the weights that `save` wrote."""
        from safetensors.torch import load_file

        if self.adapted:
            from peft import set_peft_model_state_dict

            set_peft_model_state_dict(self.model, load_file(directory / WEIGHTS))
            return
        weights = {}
        for path in sorted(directory.glob("*.safetensors")):
            weights.update(load_file(path))
        self.model.load_state_dict(weights)


def find_base(name: str, *, revision: str | None = None, offline: bool = False) -> Base:
    """Find a base model: a preset, a directory or a hub name. Raises ModelError for an adapter, or if there is none."""
    located = locate(name, revision=revision, offline=offline)
    if is_adapter(located.directory):
        raise ModelError(
            f"{name!r} is an adapter; a base is a whole model.", remedy=f"Train it further by --from {name}."
        )
    if name in PRESETS:
        return Base(PRESETS[name].model, located, revision or PRESETS[name].revision)
    path = Path(name).expanduser()
    return Base(str(path.resolve()) if path.is_dir() else name, located, revision)


def load_student(base: Base, settings: TrainingSettings, device: str) -> tuple[Student, Checkpoint]:
    """Load a base to train, and the same model as a checkpoint, which scores with the student's present weights.

    Raises ModelError for weights that are missing outside the head, ConfigurationError for targets the base lacks, and
    what `continued` raises.
    """
    directory = base.located.directory
    further = None if base.adapter is None else base.adapter.directory
    halved = settings.train_method == "lora" and settings.train_precision == "bfloat16"
    placement = Placement(device, "bfloat16" if halved else "float32")
    model, missing = load_untrained(directory, placement)
    heads = head_modules(model)
    check_complete({key for key in missing if not in_head(key, model, heads)}, directory)
    tokenizer = load_tokenizer(directory if further is None else tokenizer_directory(further, directory))
    manifest = student_manifest((base.adapter or base.located).manifest, model, tokenizer, settings.train_max_length)
    if base.adapter is not None and base.adapter.manifest is not None:
        served = {name: getattr(base.adapter.manifest, name) for name in ("beside", "fusion")}
        manifest = msgspec.structs.replace(manifest, **served)
    wanted = settings.train_gradient_checkpointing
    if wanted or (wanted is None and model.num_parameters() >= LARGE):
        with quiet_libraries():
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if settings.train_dropout is not None:
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = settings.train_dropout
    adapted = settings.train_method == "lora"
    if adapted and further is not None:
        model = continued(model, further, base.name, missing=missing, revision=base.revision)
    elif adapted:
        model = _with_lora(model, base, choose_modules(model, settings.train_lora_targets), settings)
    student = Student(model, adapted=adapted, own_tokenizer=further is not None and holds_tokenizer(further))
    for parameter in student.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return student, Checkpoint(base.name, student.classifier, tokenizer, manifest)


def student_manifest(known: Manifest | None, model: Any, tokenizer: Any, max_length: int) -> Manifest:
    """Return how the student reads pairs: as the base's own manifest says, or by the default of its architecture.

    The base's `beside`, fusion, calibration and notes are left out. Raises ConfigurationError for a manifest that can't
    be trained with, ModelError for a length beyond the model's positions.
    """
    cross = known is not None and known.kind == "cross-encoder"
    manifest = known if cross and known is not None else default_manifest(model, tokenizer)
    if manifest.yes_token is not None or manifest.pooling == "last_slot":
        raise ConfigurationError(
            "A base that pools the last slot, or answers yes or no, can't be trained here.",
            remedy="Write another sidecar.json beside it, with pooling last_token and without yes_token.",
        )
    try:
        manifest = msgspec.structs.replace(
            manifest, max_length=max_length, beside=None, fusion=None, score_mapping=None, note=""
        )
    except ValueError as error:
        raise ConfigurationError(f"max_length {max_length} does not fit this base: {error}.") from error
    check_length(manifest, model)
    return manifest


def _with_lora(model: Any, base: Base, trained: TrainedModules, settings: TrainingSettings) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=settings.train_lora_rank,
        lora_alpha=settings.train_lora_alpha,
        lora_dropout=settings.train_lora_dropout,
        target_modules=trained.targets,
        exclude_modules=trained.excluded or None,
        # peft knows the usual heads itself, and would list them twice.
        modules_to_save=[head for head in trained.heads if head not in ("score", "classifier")] or None,
        bias="none",
        task_type="SEQ_CLS",
        base_model_name_or_path=base.name,
        revision=base.revision,
    )
    with quiet_libraries():
        adapted = get_peft_model(model, config)
    # peft records the directory that the weights were read from, which exists only on this machine.
    adapted.peft_config["default"].base_model_name_or_path = base.name
    return adapted
