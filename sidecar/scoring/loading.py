"""Load a Scorer by the name of a model: a preset, a directory (adapter or full) or a name at the hub.

Importing this is quick: torch and transformers are loaded with the first model.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sidecar.core.errors import ConfigurationError, GatedModel, ModelError, ModelNotFound
from sidecar.core.missing_package import missing_package
from sidecar.core.model_spec import ModelSpec
from sidecar.scoring import Scorer
from sidecar.scoring.checkpoints.architecture import check_positions
from sidecar.scoring.checkpoints.bundled_weights import find_embedded
from sidecar.scoring.checkpoints.encoder_model import read_encoder
from sidecar.scoring.checkpoints.files import check_holds_model
from sidecar.scoring.checkpoints.hub import fetch, not_found
from sidecar.scoring.checkpoints.lora_adapter import (
    check_manifest,
    choose_base,
    is_adapter,
    mirror_hint,
    read_config,
    tokenizer_directory,
)
from sidecar.scoring.checkpoints.manifest import Manifest, read_manifest
from sidecar.scoring.checkpoints.plain_tokenizer import read_tokenizer
from sidecar.scoring.checkpoints.precision import FP8
from sidecar.scoring.checkpoints.presets import CARRIED, DEFAULT, EMBEDDED, LISTWISE, MINILM, PRESETS
from sidecar.scoring.checkpoints.sentence_modules import bi_encoder_manifest, check_settings, pools_sentences
from sidecar.scoring.chunks import ReadsTokens
from sidecar.scoring.engines.select import choose_embedder, choose_engine
from sidecar.scoring.ensemble import completed

if TYPE_CHECKING:
    from sidecar.scoring.checkpoints.checkpoint import Placement


@dataclass(frozen=True, slots=True)
class Located:
    """A model's directory on this machine, and its manifest if one is known before loading."""

    name: str
    directory: Path
    manifest: Manifest | None


def load_scorer(model: str = DEFAULT, **options: Any) -> Scorer:
    """Load a model to score with; `options` are the fields of `ModelSpec`.

    Raises ModelNotFound, GatedModel, AdapterMismatch, ChecksumMismatch, ModelError or ConfigurationError.
    """
    return load(ModelSpec(model=model, **options))


def load(spec: ModelSpec) -> Scorer:
    """Load the model of a specification. Raises what `load_scorer` raises."""
    if spec.is_remote:
        from sidecar.scoring.remote.scorer import load_remote

        return load_remote(spec)
    with missing_package("a model", otherwise="name the URL of a remote scorer as the model"):
        return _load_local(spec)


def _load_local(spec: ModelSpec) -> Scorer:
    located = locate_scorer(spec)
    if _is_bi_encoder(located):
        return completed(_load_bi_encoder(located, spec), None, spec)
    base = Located(located.name, located.directory, None)
    if is_adapter(located.directory):
        base = locate_base(located, spec.base_model, revision=spec.base_revision, offline=spec.offline)
    elif spec.base_model is not None:
        raise ModelError(f"{spec.model!r} is not an adapter: it takes no base model.", remedy="Leave base_model out.")
    scorer = _load_cross_encoder(located, base, spec)
    return completed(scorer, load_beside(scorer.manifest, spec), spec)


def load_beside(manifest: Manifest, spec: ModelSpec) -> Scorer | None:
    """Load the bi-encoder that a cross-encoder's manifest names; None if it names none.

    Raises ModelError for a model that is no bi-encoder, whose scores are no cosines; and what `load` raises.
    """
    if manifest.beside is None:
        return None
    other = spec_beside(spec, manifest.beside.model)
    located = locate(other.model, offline=other.offline)
    if not _is_bi_encoder(located):
        raise ModelError(
            f"{other.model!r} is to stand beside a cross-encoder, and is no bi-encoder.",
            remedy="Correct beside in the cross-encoder's sidecar.json, or leave it out.",
        )
    return _load_bi_encoder(located, other)


def spec_beside(spec: ModelSpec, model: str) -> ModelSpec:
    """Return the specification of the model that an ensemble's manifest names: it runs like the first model."""
    return ModelSpec(
        model=model,
        device=spec.device,
        dtype=spec.dtype,
        batch_size=spec.batch_size,
        engine=spec.engine,
        invariant=spec.invariant,
        cache_size=spec.cache_size,
        offline=spec.offline,
    )


def placement_of(spec: ModelSpec) -> Placement:
    """Return where and how the model of a specification runs. Raises ConfigurationError for FP8 in invariant mode."""
    from sidecar.scoring.checkpoints.checkpoint import Placement

    if spec.quantization == FP8 and spec.invariant:
        raise ConfigurationError(
            "Scores with fp8 weights are not known to be the same in every batch.",
            remedy="Leave batch_invariant out, or use quantization none.",
        )
    return Placement(spec.device, spec.dtype, spec.device_map, spec.compile, spec.quantization)


def locate_scorer(spec: ModelSpec) -> Located:
    """Find the directory of a specification's model. Raises what `locate` raises, ModelError for a wrong manifest."""
    located = locate(spec.model, revision=spec.revision, offline=spec.offline)
    if located.manifest is not None and is_adapter(located.directory):
        check_manifest(located.name, located.manifest)
    return located


def locate(model: str, *, revision: str | None = None, offline: bool = False) -> Located:
    """Find the directory of a preset, a path or a hub name; fetch it if it is not on this machine."""
    # Also by its hub name, which adapters on it record: plain peft knows no presets.
    if revision is None and model in (EMBEDDED, PRESETS[EMBEDDED].model):
        directory = find_embedded()
        return Located(model, directory, read_manifest(directory))
    if model in CARRIED and model not in PRESETS:
        return Located(model, CARRIED[model], read_manifest(CARRIED[model]))
    if model in LISTWISE:
        raise ModelError(
            f"{model!r} is a generator: it orders passages, and gives none a score.",
            remedy="Name it as the generator of stage two (--listwise-model), beside a reranker.",
        )
    path = Path(model).expanduser()
    if model in PRESETS:
        preset = PRESETS[model]
        return Located(
            model, fetch(preset.model, revision=revision or preset.revision, offline=offline), preset.manifest
        )
    if path.is_dir():
        check_holds_model(path)
        return Located(model, path, read_manifest(path))
    # A name that can't be a hub name is a path or a misspelt preset: the hub is not asked.
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise not_found(model, "no hub name looks like that")
    known = next((preset.manifest for preset in PRESETS.values() if preset.model == model), None)
    directory = fetch(model, revision=revision, offline=offline)
    return Located(model, directory, read_manifest(directory) or known)


def own_directory(model: str) -> Path | None:
    """Return the directory that a model name is; None for presets and hub names, whose files are not the user's."""
    path = Path(model).expanduser()
    return path if model not in {*CARRIED, *PRESETS} and path.is_dir() else None


def locate_base(
    adapter: Located, override: str | None, *, revision: str | None = None, offline: bool = False
) -> Located:
    """Find the base model of an adapter: `override`, or the one it names. Raises ModelNotFound, AdapterMismatch."""
    config = read_config(adapter.directory)
    try:
        return locate(choose_base(config, override), revision=revision or config.get("revision"), offline=offline)
    except GatedModel as error:
        raise GatedModel(error.message, remedy=f"{error.remedy} {mirror_hint()}") from error
    except ModelNotFound as error:
        raise ModelNotFound(
            f"The base model of the adapter {adapter.name!r} can't be loaded: {error.message}",
            remedy="Give the base model's directory or hub name as the base model.",
        ) from error


def _is_bi_encoder(located: Located) -> bool:
    """True by the manifest, or for a sentence-transformers pooling without an adapter."""
    if is_adapter(located.directory):
        return False
    pools = pools_sentences(located.directory, located.manifest)
    return pools if located.manifest is None else located.manifest.kind == "bi-encoder"


def _load_bi_encoder(located: Located, spec: ModelSpec) -> ReadsTokens:
    from sidecar.scoring.bi_encoder import BiEncoder
    from sidecar.scoring.checkpoints.checkpoint import Checkpoint, load_encoder, load_tokenizer, stated_length

    placement = placement_of(spec)
    read = _read_plainly(spec.engine, placement, located.directory, classifier=False)
    model, tokenizer = read or (load_encoder(located.directory, placement), load_tokenizer(located.directory))
    check_settings(located.directory, tokenizer, located.manifest)
    length = stated_length(model, tokenizer) or MINILM.max_length
    manifest = located.manifest or bi_encoder_manifest(located.directory, length)
    checkpoint = Checkpoint(located.name, model, tokenizer, with_max_length(manifest, spec.max_length))
    check_positions(checkpoint.manifest, checkpoint.traits.positions, checkpoint.traits.architecture)
    chosen = choose_embedder(
        checkpoint,
        spec.engine,
        batch_size=spec.batch_size,
        invariant=spec.invariant,
        reduced=_may_round(placement),
    )
    return BiEncoder(checkpoint, engine=chosen, cache_size=spec.cache_size)


def _load_cross_encoder(located: Located, base: Located, spec: ModelSpec) -> ReadsTokens:
    from sidecar.scoring.checkpoints.checkpoint import Checkpoint, default_manifest
    from sidecar.scoring.cross_encoder import CrossEncoder

    placement = placement_of(spec)
    lora = located.directory if is_adapter(located.directory) else None
    read = None
    if spec.adapter and (located.manifest is None or located.manifest.yes_token is None):
        read = _read_plainly(spec.engine, placement, base.directory, classifier=True, adapter=lora)
    model, tokenizer = read or _load_with_torch(
        located, base, placement, engine=spec.engine, lora=lora, adapter=spec.adapter
    )
    if lora is None:
        check_settings(located.directory, tokenizer, located.manifest)
    manifest = located.manifest or default_manifest(model, tokenizer)
    checkpoint = Checkpoint(located.name, model, tokenizer, with_max_length(manifest, spec.max_length))
    check_positions(checkpoint.manifest, checkpoint.traits.positions, checkpoint.traits.architecture)
    chosen = choose_engine(
        checkpoint,
        spec.engine,
        batch_size=spec.batch_size,
        compile=placement.compile,
        invariant=spec.invariant,
        reduced=_may_round(placement),
    )
    return CrossEncoder(checkpoint, engine=chosen)


def _read_plainly(
    engine: str, placement: Placement, directory: Path, *, classifier: bool, adapter: Path | None = None
) -> tuple[Any, Any] | None:
    """Read a small encoder without torch, which takes seconds to load; None if torch is needed.

    OpenVINO computes with it on the CPU, in float32 or, if no dtype was set, perhaps in bfloat16.
    """
    plain = engine in ("auto", "openvino") and placement.is_plain_cpu
    if not plain or importlib.util.find_spec("openvino") is None:
        return None
    tokenizer = read_tokenizer(tokenizer_directory(adapter, directory) if adapter else directory)
    model = read_encoder(directory, classifier=classifier, adapter=adapter) if tokenizer is not None else None
    if model is None or tokenizer is None or tokenizer.vocabulary > model.config.vocab_size:
        return None
    return model, tokenizer


def _load_with_torch(  # noqa: PLR0913  the second half of load_scorer, by keyword
    located: Located, base: Located, placement: Placement, *, engine: str, lora: Path | None, adapter: bool
) -> tuple[Any, Any]:
    from sidecar.scoring.checkpoints.checkpoint import check_vocabulary, load_classifier, load_tokenizer
    from sidecar.scoring.checkpoints.yes_no_head import answer_head
    from sidecar.scoring.engines.packed.loader import packs, read_decoder
    from sidecar.scoring.engines.packed_encoders.readable import is_encoder

    tokenizer = load_tokenizer(tokenizer_directory(lora, base.directory) if lora else base.directory)
    head = None
    if located.manifest is not None and located.manifest.yes_token is not None:
        head = answer_head(base.directory, tokenizer, located.manifest)
    # An encoder is packed after transformers and peft have loaded it (`choose_engine`).
    packed = not is_encoder(base.directory) and packs(engine, base.directory, placement, adapter=lora)
    load = read_decoder if packed else load_classifier
    model: Any = load(base.directory, placement, adapter=lora, base=base.name, enabled=adapter, head=head)
    rows = model.shape.vocabulary if packed else len(model.get_input_embeddings().weight)
    check_vocabulary(tokenizer, rows, located.directory)
    return model, tokenizer


def _may_round(placement: Placement) -> bool:
    """True if an engine may compute in another precision than the weights'."""
    return placement.dtype == "auto"


def with_max_length(manifest: Manifest, max_length: int | None) -> Manifest:
    """Return the manifest with another token limit. Raises ModelError if it contradicts the rest."""
    if max_length is None:
        return manifest
    try:
        return msgspec.structs.replace(manifest, max_length=max_length)
    except ValueError as error:
        raise ModelError(
            f"max_length {max_length} does not fit this model: {error}.", remedy="Leave max_length out."
        ) from error
