"""Load a model from a directory of weights: device, dtype, completeness. Knows neither hub nor presets."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sidecar.core.errors import ConfigurationError, ModelError
from sidecar.core.model_spec import Compiling
from sidecar.scoring.checkpoints.adapter_settings import changes_base
from sidecar.scoring.checkpoints.architecture import Traits, check_config, is_decoder, traits_of
from sidecar.scoring.checkpoints.lora_adapter import check_complete, read_config
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.checkpoints.peft_adapter import apply_adapter
from sidecar.scoring.checkpoints.precision import automatic_dtype, quantized
from sidecar.scoring.checkpoints.presets import PLAIN_PAIR, READ_LIKE
from sidecar.scoring.checkpoints.pretrained import is_quantized, load_pretrained
from sidecar.scoring.checkpoints.quiet import quiet_libraries
from sidecar.scoring.hardware import has_accelerator, threads

if TYPE_CHECKING:
    import torch

# More tokens than any model reads.
UNLIMITED = 10**9
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how a model runs. `device_map` is transformers' own and takes precedence over `device`.

    `quantization` is none, 8bit or 4bit (bitsandbytes quantises all weights except the score head's), or fp8 (the
    packed engine's, for the matrices of the layers). `compile` says when torch compiles the model: `before` it is used,
    `meanwhile` (its last digits change when that is done), or with `auto` meanwhile if compiling pays. A model of
    transformers is compiled by its first calls; with `auto`, never.
    """

    device: str = "auto"
    dtype: str = "auto"
    device_map: Any = None
    compile: Compiling = "never"
    quantization: str = "none"

    def torch_device(self) -> torch.device:
        """Choose the device: `auto` is CUDA, then Apple's, then the CPU."""
        import torch

        if self.device != "auto":
            try:
                return torch.device(self.device)
            except RuntimeError as error:
                raise ConfigurationError(
                    f"There is no device {self.device!r}.", remedy="Use auto, cuda, mps or cpu."
                ) from error
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")

    def torch_dtype(self) -> torch.dtype:
        """Choose the dtype: `auto` is what suits the device (`precision.automatic_dtype`)."""
        if self.dtype == "auto":
            return _dtype(automatic_dtype(self.torch_device().type, self.capability()))
        return _dtype(self._named_dtype())

    def capability(self) -> tuple[int, int] | None:
        """Return the compute capability of the device; None if it is no GPU of CUDA's, or one that torch can't see."""
        import torch

        device = self.torch_device()
        seen = device.type == "cuda" and (device.index or 0) < torch.cuda.device_count()
        return torch.cuda.get_device_capability(device) if seen else None

    def device_name(self) -> str:
        """Return torch's name of the device; torch is loaded only if there may be something else than a CPU."""
        on_cpu = self.device == "cpu" or (self.device == "auto" and not has_accelerator())
        return "cpu" if on_cpu else str(self.torch_device())

    def dtype_name(self) -> str:
        """Return torch's name of the dtype; torch is loaded only if the device decides. Raises ConfigurationError."""
        if self.dtype != "auto":
            return self._named_dtype()
        on_cpu = self.device_name() == "cpu"
        return automatic_dtype("cpu") if on_cpu else str(self.torch_dtype()).removeprefix("torch.")

    def _named_dtype(self) -> str:
        if self.dtype not in DTYPES:
            raise ConfigurationError(f"There is no dtype {self.dtype!r}.", remedy=f"Use auto, {', '.join(DTYPES)}.")
        return self.dtype

    @property
    def is_plain_cpu(self) -> bool:
        """True for the CPU, in float32 and without any option that only torch supports. Loads no torch."""
        nowhere = self.device_map is None and self.quantization == "none" and self.compile in ("never", "auto")
        fits = self.dtype in ("auto", "float32") and self.device in ("auto", "cpu")
        return nowhere and fits and self.device_name() == "cpu"

    def weights(self) -> dict[str, Any]:
        """Return transformers' arguments for device map and quantised weights. Raises ConfigurationError."""
        config = quantized(self.quantization, self.torch_device().type, self.torch_dtype())
        if config is None:
            return {"device_map": self.device_map}
        return {"device_map": self.device_map or {"": self.torch_device()}, "quantization_config": config}

    def describe(self, *, computed_in: str | None = None) -> str:
        """Describe this placement on this machine: device, dtype, torch. Raises ConfigurationError.

        `computed_in` is the precision of an engine that does not compute in the weights' precision.
        """
        device, dtype, version = self.device_name(), self.dtype_name(), importlib.metadata.version("torch")
        computed = f", computed in {computed_in}" if computed_in not in {None, dtype} else ""
        if device == "cpu":
            return f"cpu ({threads()} threads), weights in {dtype}{computed}, torch {version}"
        import torch

        place, gpus = self.torch_device(), torch.cuda.device_count()
        if place.type == "cuda" and (place.index or 0) >= gpus:
            raise ConfigurationError(
                f"device {self.device} was asked for, and this torch ({version}) sees {gpus or 'no'} GPUs.",
                remedy="Use --device auto or cpu, or install a torch build for this machine's CUDA.",
            )
        named = f" ({torch.cuda.get_device_name(place)})" if place.type == "cuda" else ""
        return f"{device}{named}, weights in {dtype}{computed}, torch {version}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model in evaluation mode with its tokenizer and manifest; `name` is the user's name of the model.

    `model` is a transformers model, a `packed.weights.Decoder`, which only the packed engine can use, or an
    `encoder_model.EncoderModel`, which only OpenVINO can use.
    """

    name: str
    model: Any
    tokenizer: Any
    manifest: Manifest

    @property
    def traits(self) -> Traits:
        """Return the traits of the architecture that decide how pairs are read and pooled."""
        return traits_of(self.model)


def load_classifier(  # noqa: PLR0913  the parts to load, by keyword
    directory: Path,
    placement: Placement,
    *,
    adapter: Path | None = None,
    base: str = "",
    enabled: bool = True,
    head: torch.Tensor | None = None,
) -> Any:
    """Load a sequence classifier with one label, with an adapter if one is given.

    `base` is the name of the base model for messages; `enabled` False leaves the LoRA out. `head` is the score head of
    a causal model that has none. An adapter is merged, except into quantised weights: 4 or 8 bits would round it away,
    so it stays beside them. Raises ModelError for missing weights, a head of another size or a format other than
    safetensors, AdapterMismatch.
    """
    from transformers import AutoModelForSequenceClassification

    check_config(directory)
    dtype = placement.torch_dtype()
    loaded: Any = dtype
    if adapter and placement.quantization == "none":
        # The stored dtype is kept until the merge, so that there is only one cast, after it. Modules that the adapter
        # saves whole take the base's dtype, so the base is loaded in float32 if float32 is wanted.
        in_full = dtype == _dtype("float32") or changes_base(read_config(adapter))
        loaded = _dtype("float32") if in_full else "auto"
    auto_class = AutoModelForSequenceClassification
    model, missing = load_pretrained(auto_class, directory, placement, dtype=loaded, num_labels=1)
    if adapter is None:
        check_complete(missing - ({"score.weight"} if head is not None else set()), directory)
    else:
        merged = None if is_quantized(model) else dtype
        model = apply_adapter(model, adapter, base, missing=missing, enabled=enabled, dtype=merged)
    model = place_model(model, placement)
    if head is not None:
        # The difference of two bfloat16 rows is seldom exact in bfloat16, so it stays in float32.
        model.score.weight.data = head.to(model.score.weight.device)
    return model


def load_untrained(directory: Path, placement: Placement) -> tuple[Any, set[str]]:
    """Load a sequence classifier with one label for training, and say which of its weights the checkpoint lacks.

    Those weights are random, by torch's seed. Nothing is frozen; the caller sets training mode. Raises ModelError.
    """
    from transformers import AutoModelForSequenceClassification

    check_config(directory)
    return load_pretrained(
        AutoModelForSequenceClassification, directory, placement, dtype=placement.torch_dtype(), num_labels=1
    )


def load_encoder(directory: Path, placement: Placement) -> Any:
    """Load the bare encoder of a bi-encoder. Its pooler may be missing: mean pooling does not use it."""
    from transformers import AutoModel

    check_config(directory)
    model, missing = load_pretrained(AutoModel, directory, placement, bare=True, dtype=placement.torch_dtype())
    check_complete({key for key in missing if not key.startswith("pooler.")}, directory)
    return place_model(model, placement)


def load_tokenizer(directory: Path) -> Any:
    """Load the tokenizer of a directory. Raises ModelError if there is none, or none of the tokenizers library."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoTokenizer

    try:
        with quiet_libraries():
            tokenizer = AutoTokenizer.from_pretrained(str(directory), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, TypeError, StrictDataclassError) as error:  # the last for config.json, which it reads
        raise ModelError(
            f"{directory} holds no tokenizer that can be loaded: {error}", remedy="Save the tokenizer beside the model."
        ) from error
    if not tokenizer.is_fast:
        raise ModelError(
            f"{directory} has a tokenizer in plain Python ({type(tokenizer).__name__}), which gives no positions.",
            remedy="Save it in the format of the tokenizers library (tokenizer.json).",
        )
    return tokenizer


def check_vocabulary(tokenizer: Any, rows: int, directory: Path) -> None:
    """Raise ModelError if a tokenizer writes ids that the model has no embedding for; it has `rows` embeddings."""
    if len(tokenizer) <= rows:
        return
    # Control tokens may have higher ids if no text and no template writes them.
    control = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    written = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id, None}
    ids = (set(tokenizer.get_vocab().values()) - control) | (written - {None})
    if max(ids) >= rows:
        raise ModelError(
            f"The tokenizer of {directory} writes token ids up to {max(ids)}, and the model has embeddings for {rows}.",
            remedy="An adapter with new tokens must be saved with its embeddings (peft: save_embedding_layers=True).",
        )


def default_manifest(model: Any, tokenizer: Any) -> Manifest:
    """Return the manifest of a cross-encoder without `sidecar.json`: DeAR's for decoders, else a pair of 512 tokens."""
    traits = traits_of(model)
    if traits.decoder or traits.architecture in READ_LIKE:
        return decoder_manifest(traits)
    limit = min(PLAIN_PAIR.max_length, stated_length(model, tokenizer) or PLAIN_PAIR.max_length)
    return msgspec.structs.replace(PLAIN_PAIR, max_length=limit)


def stated_length(model: Any, tokenizer: Any) -> int | None:
    """Return how many tokens tokenizer and architecture allow; None if neither sets a limit."""
    positions = traits_of(model).positions or getattr(model.config, "max_position_embeddings", None)
    # A tokenizer without a limit states 10^30.
    limit = min(positions or UNLIMITED, tokenizer.model_max_length)
    return int(limit) if limit < UNLIMITED else None


def decoder_manifest(traits: Traits) -> Manifest:
    """Return the manifest of a decoder without `sidecar.json`: that of its architecture, else DeAR's."""
    if traits.architecture in READ_LIKE:
        return READ_LIKE[traits.architecture]
    manifest = Manifest()
    return msgspec.structs.replace(manifest, max_length=min(traits.positions or UNLIMITED, manifest.max_length))


def _dtype(name: str) -> torch.dtype:
    import torch

    found: torch.dtype = getattr(torch, name)
    return found


def place_model(model: Any, placement: Placement) -> Any:
    """Put a loaded model on its device in its dtype, without gradients, in evaluation mode."""
    dtype, whole = placement.torch_dtype(), not is_quantized(model)
    # Parameters only: rotary frequencies are buffers, and bf16 would make every position inexact.
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        if whole:
            parameter.data = parameter.data.to(dtype)
    if placement.device_map is None and whole:
        model = model.to(placement.torch_device())
    model.eval()
    if placement.compile in ("before", "meanwhile"):
        # Compiled in place, so that the model keeps its class and attributes; lengths vary from batch to batch.
        (model.base_model if is_decoder(model) else model).compile(dynamic=True)
    return model
