"""All the models of one process: adapters of one Llama share its weights, every other model is loaded by itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.scoring import Scorer
from sidecar.scoring.checkpoints.architecture import read_model_config
from sidecar.scoring.checkpoints.checkpoint import Placement
from sidecar.scoring.checkpoints.lora_adapter import is_adapter
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.chunks import Chunking, MaxP
from sidecar.scoring.engines.packed import MODEL_TYPE
from sidecar.scoring.loading import Located, load_scorer, locate, locate_base, with_max_length

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
    """Every model under its name, in the order given, by the keyword arguments of `load_scorer`.

    Adapters that can be packed and have base, device, dtype and batches in common share one base: `merged` is how many
    of them can be switched to for nothing, each at the memory of a base. `scorers` are what is in use. Raises what
    `load_scorer` raises.
    """

    def __init__(self, models: Mapping[str, Mapping[str, Any]], *, merged: int = 2) -> None:
        self.scorers: dict[str, Scorer] = {}
        self._models = models
        self._merged = merged
        self._registries: dict[_Base, AdapterRegistry] = {}
        found = {name: base for name, options in models.items() if (base := _base(_at(options), options))}
        bases = list(found.values())
        self._shared = {name: base for name, base in found.items() if bases.count(base) > 1}
        for name in models:
            self.reload(name)

    def reload(self, name: str, prove: Callable[[Scorer], None] = lambda _: None) -> Scorer:
        """Read a model's files anew; until that is done the one before serves.

        It stays if they can't be read, or if `prove`, which is handed the new one, raises anything. An adapter with a
        base of its own needs the memory of a second base meanwhile; of those that share one, the new adapter serves
        what is being scored from then on. May be called from any thread, one call at a time.
        """
        options = self._models[name]
        base = self._shared.get(name)
        if base is None:
            scorer = load_scorer(**options)
            prove(scorer)
        else:
            scorer = self._switched(name, options, base, prove)
        self.scorers[name] = scorer
        return scorer

    def _switched(self, name: str, options: Mapping[str, Any], base: _Base, prove: Callable[[Scorer], None]) -> Scorer:
        if base not in self._registries:
            from sidecar.scoring.adapter_registry import AdapterRegistry

            self._registries[base] = AdapterRegistry(
                base.directory,
                base.placement,
                name=base.name,
                budget=sys.maxsize,  # whoever declares a model means it to be there
                merged=self._merged,
                batch_size=base.batch_size,
                invariant=base.invariant,
            )
        registry, located = self._registries[base], _at(options)
        on_trial = f"{name} (on trial)"
        registry.load(on_trial, located.directory, _manifest(located, options))
        try:
            prove(self._scorer(registry, on_trial, options))
        except BaseException:
            registry.evict(on_trial)
            raise
        registry.rename(on_trial, name)
        return self._scorer(registry, name, options)

    @staticmethod
    def _scorer(registry: AdapterRegistry, name: str, options: Mapping[str, Any]) -> Scorer:
        scorer = registry.scorer(name)
        chunking: Chunking | None = options.get("chunking")
        return MaxP(scorer, chunking) if chunking else scorer


def _at(options: Mapping[str, Any]) -> Located:
    return locate(options["model"], revision=options.get("revision"), offline=options.get("offline", False))


def _manifest(located: Located, options: Mapping[str, Any]) -> Manifest:
    return with_max_length(located.manifest or Manifest(), options.get("max_length"))


def _base(adapter: Located, options: Mapping[str, Any]) -> _Base | None:
    """The base an adapter may share with others; None for what is none, or has to be loaded by itself."""
    if not is_adapter(adapter.directory) or not options.get("adapter", True):
        return None
    base = locate_base(
        adapter,
        options.get("base_model"),
        revision=options.get("base_revision"),
        offline=options.get("offline", False),
    )
    # Torch is not loaded to find out that another architecture can't be packed.
    if read_model_config(base.directory).get("model_type") != MODEL_TYPE:
        return None
    from sidecar.scoring.engines.packed.loader import packs

    placement = Placement(
        options.get("device", "auto"),
        options.get("dtype", "auto"),
        options.get("device_map"),
        options.get("compile", "never"),
        options.get("quantization", "none"),
    )
    if not packs(options.get("engine", "auto"), base.directory, placement, adapter=adapter.directory):
        return None
    return _Base(base.directory, base.name, placement, options.get("batch_size", 128), options.get("invariant", False))
