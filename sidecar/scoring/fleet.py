"""All the models of one process: adapters of one Llama share its weights, every other model is loaded by itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.scoring import Scorer
from sidecar.scoring.adapter import is_adapter
from sidecar.scoring.adapters import AdapterRegistry
from sidecar.scoring.checkpoint import Placement
from sidecar.scoring.chunks import Chunking, MaxP
from sidecar.scoring.loading import Located, load_scorer, locate, locate_base, with_max_length
from sidecar.scoring.manifest import Manifest
from sidecar.scoring.packed.reading import packs


@dataclass(frozen=True, slots=True)
class _Base:
    """What adapters have to have in common to share a base."""

    directory: Path
    name: str
    placement: Placement
    batch_size: int
    invariant: bool


def load_scorers(models: Mapping[str, Mapping[str, Any]], *, merged: int = 2) -> dict[str, Scorer]:
    """Load each model under its name, in the order given; of each the keyword arguments of `load_scorer`.

    Adapters that can be packed and have base, device, dtype and batches in common share one base: `merged` is how many
    of them can be switched to for nothing, each at the memory of a base. Raises what `load_scorer` raises.
    """
    found = {
        name: (located, base) for name, options in models.items() if (base := _base(located := _at(options), options))
    }
    bases = [base for _, base in found.values()]
    registries: dict[_Base, AdapterRegistry] = {}
    scorers: dict[str, Scorer] = {}
    for name, options in models.items():
        if name not in found or bases.count(found[name][1]) == 1:
            scorers[name] = load_scorer(**options)
            continue
        located, base = found[name]
        if base not in registries:
            registries[base] = AdapterRegistry(
                base.directory,
                base.placement,
                name=base.name,
                budget=sys.maxsize,  # whoever declares a model means it to be there
                merged=merged,
                batch_size=base.batch_size,
                invariant=base.invariant,
            )
        registries[base].load(name, located.directory, _manifest(located, options))
        scorer = registries[base].scorer(name)
        chunking: Chunking | None = options.get("chunking")
        scorers[name] = MaxP(scorer, chunking) if chunking else scorer
    return scorers


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
    placement = Placement(
        options.get("device", "auto"),
        options.get("dtype", "auto"),
        options.get("device_map"),
        options.get("compile", False),
        options.get("quantization", "none"),
    )
    if not packs(options.get("engine", "auto"), base.directory, placement, adapter=adapter.directory):
        return None
    return _Base(base.directory, base.name, placement, options.get("batch_size", 128), options.get("invariant", False))
