"""All models of one process: adapters of one Llama share its weights, every other model is loaded by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.core.model_spec import ModelSpec
from sidecar.scoring import Scorer
from sidecar.scoring.checkpoints.architecture import read_model_config
from sidecar.scoring.checkpoints.checkpoint import Placement, decoder_manifest
from sidecar.scoring.checkpoints.lora_adapter import is_adapter
from sidecar.scoring.checkpoints.precision import FP8
from sidecar.scoring.engines.packed.architectures import FAMILIES
from sidecar.scoring.ensemble import completed
from sidecar.scoring.loading import (
    Located,
    load,
    load_beside,
    locate_base,
    locate_scorer,
    placement_of,
    with_max_length,
)

if TYPE_CHECKING:
    from sidecar.scoring.adapter_registry import AdapterRegistry


@dataclass(frozen=True, slots=True)
class _Base:
    """The properties that adapters must have in common to share a base."""

    directory: Path
    name: str
    placement: Placement
    batch_size: int
    invariant: bool


class ModelRegistry:
    """Every model under its name, in the order given, by its specification.

    Adapters that can be packed and have base, device, dtype and batches in common share one base: `merged` is how many
    of them can be switched to at no cost; each takes as much memory as a base. `scorers` are those in use. Raises what
    `load_scorer` raises.
    """

    def __init__(self, models: Mapping[str, ModelSpec], *, merged: int = 2) -> None:
        self.scorers: dict[str, Scorer] = {}
        self._models = models
        self._merged = merged
        self._registries: dict[_Base, AdapterRegistry] = {}
        found = {name: base for name, spec in models.items() if (base := _base(locate_scorer(spec), spec))}
        bases = list(found.values())
        self._shared = {name: base for name, base in found.items() if bases.count(base) > 1}
        for name in models:
            self.reload(name)

    def reload(self, name: str, prove: Callable[[Scorer], None] = lambda _: None) -> Scorer:
        """Read a model's files again; the previous model serves until that is done.

        The previous model stays if the files can't be read, or if `prove`, which is called with the new one, raises.
        An adapter with its own base needs the memory of a second base meanwhile. An adapter that shares a base also
        scores the rest of the requests in progress. May be called from any thread, one call at a time.
        """
        spec = self._models[name]
        base = self._shared.get(name)
        if base is None:
            scorer = load(spec)
            prove(scorer)
        else:
            scorer = self._switched(name, spec, base, prove)
        self.scorers[name] = scorer
        return scorer

    def _switched(self, name: str, spec: ModelSpec, base: _Base, prove: Callable[[Scorer], None]) -> Scorer:
        if base not in self._registries:
            from sidecar.scoring.adapter_registry import AdapterRegistry

            self._registries[base] = AdapterRegistry(
                base.directory,
                base.placement,
                name=base.name,
                merged=self._merged,
                batch_size=base.batch_size,
                invariant=base.invariant,
            )
        registry, located = self._registries[base], locate_scorer(spec)
        manifest = with_max_length(located.manifest or decoder_manifest(registry.base.traits), spec.max_length)
        on_trial, beside = f"{name} (on trial)", load_beside(manifest, spec)
        registry.load(on_trial, located.directory, manifest)
        try:
            prove(completed(registry.scorer(on_trial), beside, spec))
        except BaseException:
            registry.evict(on_trial)
            raise
        registry.rename(on_trial, name)
        return completed(registry.scorer(name), beside, spec)


def _base(adapter: Located, spec: ModelSpec) -> _Base | None:
    """Return the base that an adapter may share with others; None for a model that must be loaded by itself.

    Adapters are merged from the base's stored weights. FP8 weights are not those, so each adapter has its own.
    """
    if not is_adapter(adapter.directory) or not spec.adapter or spec.quantization == FP8:
        return None
    base = locate_base(adapter, spec.base_model, revision=spec.base_revision, offline=spec.offline)
    # This check needs no torch: another architecture can't be packed.
    if read_model_config(base.directory).get("model_type") not in FAMILIES:
        return None
    from sidecar.scoring.engines.packed.loader import packs

    placement = placement_of(spec)
    if not packs(spec.engine, base.directory, placement, adapter=adapter.directory):
        return None
    return _Base(base.directory, base.name, placement, spec.batch_size, spec.invariant)
