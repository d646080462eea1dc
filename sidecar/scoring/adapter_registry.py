"""Several LoRA adapters over one resident base: which are in memory, and whose weights the engine computes with.

Memory holds the base as it came (W, never changed), the factors of every loaded adapter (48 MB each for a 3B model
with rank 16 in bf16), and the merged weights of the few adapters used last. Switching to one of these is following
another pointer. Any other adapter is merged anew from W, into the buffers of the one used longest ago: W + s·B·A in
float32, cast once. So an adapter has the same weights, to the last bit, whenever and beside whomever it is used, and as
if it were loaded alone; adding and subtracting in place would drift.

What a merge can't beat: of a 3B model's 2.8e9 adapted weights each costs 12 bytes of traffic (W read, 2; B·A written
and read, 4 + 4; the sum written, 2), 34 GB, which is 8 ms at an H200's 4.3 TB/s. The way around it is one more copy of
the matrices (`merged`), 5.6 GB for 3B. The other way, `x·W + s·(x·A)·B` without merging, switches for nothing and can
mix adapters in a batch, but every request pays for it, and its sums are rounded at other places than those of an
adapter served alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sidecar.core.errors import ModelError, ModelNotFound
from sidecar.scoring.checkpoints.checkpoint import Checkpoint, Placement, check_vocabulary, load_tokenizer
from sidecar.scoring.checkpoints.lora_adapter import check_complete, tokenizer_directory
from sidecar.scoring.checkpoints.manifest import Manifest, read_manifest
from sidecar.scoring.cross_encoder import CrossEncoder
from sidecar.scoring.engines.packed.engine import PackedEngine
from sidecar.scoring.engines.packed.loader import packs, read_base, shapes_of
from sidecar.scoring.engines.packed.lora import HEAD, Lora, read_lora, unfit_adapter
from sidecar.scoring.engines.packed.weights import Llama, with_matrices_of_its_own
from sidecar.scoring.engines.padding import pad_id
from sidecar.scoring.prompt import Prompt, Tokens


@dataclass(frozen=True, slots=True, eq=False)
class _Adapter:
    name: str
    directory: Path
    lora: Lora
    manifest: Manifest
    given: Manifest | None


class AdapterRegistry:
    """LoRA adapters of one Llama: loaded, kept and switched.

    `directory` is the base's, `name` what messages call it. `merged` is how many adapters' merged weights are kept,
    each as large as the base's. Everything may be called from any thread; scoring goes one call at a time, and waits
    for no file. Raises ConfigurationError for a base that is no Llama the packed engine can run, ModelError.
    """

    def __init__(  # noqa: PLR0913  every one is a knob of its own, by keyword
        self,
        directory: Path,
        placement: Placement,
        *,
        name: str = "",
        merged: int = 2,
        batch_size: int = 128,
        invariant: bool = False,
    ) -> None:
        packs("packed", directory, placement)
        self.name, self.directory, self.placement = name or str(directory), directory, placement
        self.most_merged = max(1, merged)
        self.batch_size, self.invariant = batch_size, invariant
        self.base = read_base(directory, placement)
        self._adapters: dict[str, _Adapter] = {}
        # The one used longest ago comes first.
        self._merged: OrderedDict[_Adapter, Llama] = OrderedDict()
        self._engines: dict[tuple[Manifest, Path], tuple[Prompt, PackedEngine]] = {}
        self._tables = threading.Lock()  # held for moments
        self._reading = threading.Lock()  # held while a tokenizer is read
        self._device = threading.RLock()  # held while merged weights are written or computed with

    def load(self, name: str, directory: Path, manifest: Manifest | None = None) -> None:
        """Read an adapter, under a name of the caller's; one of that name serves until the new one is complete.

        `manifest` takes the place of the one in the directory, or of the card's.
        Raises AdapterMismatch for another base's, ModelError for one that is no plain LoRA or has no score head.
        """
        reason = unfit_adapter(directory)
        if reason is not None:
            raise ModelError(f"{directory} can't be switched to: {reason}.", remedy="Load it as a model of its own.")
        lora = read_lora(directory, shapes_of(self.base), base=self.name).on(self.base.device)
        if lora.head is None and bool(self.base.head.isnan().any()):
            check_complete({HEAD}, directory)
        adapter = _Adapter(name, directory, lora, manifest or read_manifest(directory) or Manifest(), manifest)
        self._engine_of(adapter)
        with self._tables:
            self._adapters[name] = adapter

    def reload(self, name: str) -> None:
        """Read an adapter's files again; if they can't be read, the old one stays. Raises ModelNotFound."""
        old = self._find(name)
        self.load(name, old.directory, old.given)

    def evict(self, name: str) -> None:
        """Forget an adapter; a call that computes with it still ends well. Raises ModelNotFound."""
        self._find(name)
        with self._tables:
            del self._adapters[name]

    def rename(self, name: str, new: str) -> None:
        """Have an adapter serve under another name, in the place of the one that does. Raises ModelNotFound."""
        adapter = self._find(name)
        with self._tables:
            del self._adapters[name]
            self._adapters[new] = replace(adapter, name=new)

    def use(self, name: str) -> Llama:
        """The weights of an adapter: merged already, or merged now. Raises ModelNotFound.

        They are good until `use` was called for as many other adapters as are kept merged.
        """
        with self._device:
            adapter = self._find(name)
            llama = self._merged.pop(adapter, None)
            if llama is None:
                llama = self._buffers()
                _merge(self.base, adapter.lora, llama)
            self._merged[adapter] = llama
            return llama

    def logits(self, name: str, engine: PackedEngine, groups: Sequence[Sequence[Tokens]]) -> list[list[float]]:
        """Switch to an adapter and compute, with nobody in between. Raises ModelNotFound."""
        with self._device:
            engine.llama = self.use(name)
            return engine.logits(groups)

    def scorer(self, name: str) -> CrossEncoder:
        """A scorer of one adapter; base, engine and prompt are shared with all others that have its manifest.

        It scores with what is loaded under the name at the time. Raises ModelNotFound, and so does scoring once the
        adapter is gone.
        """
        adapter = self._find(name)
        prompt, engine = self._engine_of(adapter)
        checkpoint = Checkpoint(name, self.base, prompt.tokenizer, adapter.manifest)
        return CrossEncoder(checkpoint, engine=_Switching(self, name, engine), prompt=prompt)

    def _find(self, name: str) -> _Adapter:
        with self._tables:
            if name not in self._adapters:
                loaded = ", ".join(sorted(self._adapters)) or "none"
                raise ModelNotFound(f"No adapter {name!r} is loaded.", remedy=f"Load it first. Loaded are: {loaded}.")
            return self._adapters[name]

    def _engine_of(self, adapter: _Adapter) -> tuple[Prompt, PackedEngine]:
        """Build the part that manifest and tokenizer decide. Each prompt has its own tokenizer, which keeps state."""
        manifest, directory = adapter.manifest, tokenizer_directory(adapter.directory, self.directory)
        with self._reading:
            if (manifest, directory) not in self._engines:
                tokenizer = load_tokenizer(directory)
                check_vocabulary(tokenizer, self.base.shape.vocabulary, directory)
                engine = PackedEngine(
                    self.base,
                    manifest,
                    eos=pad_id(tokenizer, decoder=True),
                    max_pairs=self.batch_size,
                    compile=self.placement.compile,
                    invariant=self.invariant,
                )
                self._engines[manifest, directory] = Prompt(tokenizer, manifest, segments=False), engine
            return self._engines[manifest, directory]

    def _buffers(self) -> Llama:
        """Buffers to merge into: new ones, or those of an adapter that is gone or was used longest ago."""
        gone = [adapter for adapter in self._merged if self._adapters.get(adapter.name) is not adapter]
        if gone:
            return self._merged.pop(gone[0])
        if len(self._merged) < self.most_merged:
            return with_matrices_of_its_own(self.base)
        return self._merged.popitem(last=False)[1]


class _Switching:
    """The engine of one adapter's scorer."""

    def __init__(self, registry: AdapterRegistry, adapter: str, engine: PackedEngine) -> None:
        self.name = engine.name
        self._registry, self._adapter, self._engine = registry, adapter, engine

    def logits(self, groups: Sequence[Sequence[Tokens]]) -> list[list[float]]:
        """One logit for each pair. Raises ModelNotFound."""
        return self._registry.logits(self._adapter, self._engine, groups)


def _merge(base: Llama, lora: Lora, llama: Llama) -> None:
    """Write the base's matrices with an adapter's factors, and the adapter's head, into buffers of their own."""
    slots = llama.slots()
    for name, weight in base.slots().items():
        if name in lora.factors:
            lora.factors[name].merge(weight, slots[name])
        elif slots[name].data_ptr() != weight.data_ptr():
            slots[name].copy_(weight)
    llama.head.copy_(base.head if lora.head is None else lora.head)
