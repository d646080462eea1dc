"""Several LoRA adapters over one base in memory: which are loaded, and whose weights the engine computes with.

Memory holds the base's stored weights (W, never changed), the factors of every loaded adapter (48 MB each for a 3B
model with rank 16 in bf16), and the merged weights of the few adapters used last. Switching to one of these only
changes a pointer. Any other adapter is merged again from W, into the buffers of the least recently used one:
W + s·B·A in float32, cast once. So an adapter's weights are always the same, to the last bit, as if it were loaded
alone; adding and subtracting in place would accumulate rounding errors.

The lower bound of a merge: each of a 3B model's 2.8e9 adapted weights costs 12 bytes of memory traffic (W read, 2; B·A
written and read, 4 + 4; the sum written, 2), 34 GB, which is 8 ms at an H200's 4.3 TB/s. On a CPU the product stays in
the cache, and 4 bytes remain (`lora.add_product`). To avoid the merge, keep one more copy of the matrices (`merged`),
5.6 GB for 3B. The alternative, `x·W + s·(x·A)·B` without merging, switches at no
cost and can mix adapters in a batch, but every request pays for it, and its sums round differently from those of an
adapter served alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sidecar.core.errors import ConfigurationError, ModelError, ModelNotFound
from sidecar.scoring.checkpoints.checkpoint import Checkpoint, Placement, check_vocabulary, load_tokenizer
from sidecar.scoring.checkpoints.lora_adapter import check_complete, tokenizer_directory
from sidecar.scoring.checkpoints.manifest import Manifest, read_manifest
from sidecar.scoring.cross_encoder import CrossEncoder
from sidecar.scoring.engines.packed.engine import PackedEngine
from sidecar.scoring.engines.packed.loader import packs, read_base, shapes_of
from sidecar.scoring.engines.packed.lora import HEAD, Lora, read_lora, unfit_adapter
from sidecar.scoring.engines.packed.weights import Decoder, with_matrices_of_its_own
from sidecar.scoring.engines.padding import pad_id
from sidecar.scoring.prompt import Prompt, Tokens

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, eq=False)
class _Adapter:
    name: str
    directory: Path
    lora: Lora
    manifest: Manifest
    given: Manifest | None


class AdapterRegistry:
    """LoRA adapters of one decoder: load them, keep them and switch between them.

    `directory` is the base's, `name` its name in messages. `merged` is how many adapters' merged weights are kept, each
    as large as the base's. Every method may be called from any thread; one call scores at a time, and scoring never
    waits for a file. Raises ConfigurationError for a base that the packed engine can't run, ModelError.
    """

    def __init__(  # noqa: PLR0913  independent options, by keyword
        self,
        directory: Path,
        placement: Placement,
        *,
        name: str = "",
        merged: int = 2,
        batch_size: int = 128,
        invariant: bool = False,
    ) -> None:
        if placement.quantization != "none":
            raise ConfigurationError(
                f"Adapters are merged from stored weights, not from {placement.quantization} ones.",
                remedy="Load each adapter as a model of its own, or use quantization none.",
            )
        packs("packed", directory, placement)
        self.name, self.directory, self.placement = name or str(directory), directory, placement
        self.most_merged = max(1, merged)
        self.batch_size, self.invariant = batch_size, invariant
        self.base = read_base(directory, placement)
        self._adapters: dict[str, _Adapter] = {}
        # Least recently used first.
        self._merged: OrderedDict[_Adapter, Decoder] = OrderedDict()
        self._engines: dict[tuple[Manifest, Path], tuple[Prompt, PackedEngine]] = {}
        self._table_lock = threading.Lock()  # held only briefly
        self._tokenizer_lock = threading.Lock()  # held while a tokenizer is read
        self._device_lock = threading.RLock()  # held while merged weights are written or computed with

    def load(self, name: str, directory: Path, manifest: Manifest | None = None) -> None:
        """Read an adapter under a name that the caller chooses; the previous one of that name serves until then.

        `manifest` replaces the one in the directory, or the card's.
        Raises AdapterMismatch for another base's, ModelError for one that is not a plain LoRA or has no score head.
        """
        reason = unfit_adapter(directory)
        if reason is not None:
            raise ModelError(f"{directory} can't be switched to: {reason}.", remedy="Load it as a model of its own.")
        lora = read_lora(directory, shapes_of(self.base), base=self.name).on(self.base.device)
        if lora.head is None and bool(self.base.head.isnan().any()):
            check_complete({HEAD}, directory)
        adapter = _Adapter(name, directory, lora, manifest or read_manifest(directory) or Manifest(), manifest)
        self._engine_of(adapter)
        with self._table_lock:
            self._adapters[name] = adapter

    def reload(self, name: str) -> None:
        """Read an adapter's files again; if they can't be read, the previous adapter stays. Raises ModelNotFound."""
        old = self._find(name)
        self.load(name, old.directory, old.given)

    def evict(self, name: str) -> None:
        """Remove an adapter; a call that computes with it still finishes. Raises ModelNotFound."""
        self._find(name)
        with self._table_lock:
            del self._adapters[name]

    def rename(self, name: str, new: str) -> None:
        """Let an adapter serve under another name, and replace the one that has that name. Raises ModelNotFound."""
        adapter = self._find(name)
        with self._table_lock:
            del self._adapters[name]
            self._adapters[new] = replace(adapter, name=new)

    def use(self, name: str) -> Decoder:
        """Return the weights of an adapter, and merge them if they are not merged. Raises ModelNotFound.

        They are valid until `use` was called for as many other adapters as are kept merged.
        """
        with self._device_lock:
            adapter = self._find(name)
            decoder = self._merged.pop(adapter, None)
            if decoder is None:
                decoder = self._buffers()
                _merge(self.base, adapter.lora, decoder)
            self._merged[adapter] = decoder
            return decoder

    def logits(self, name: str, engine: PackedEngine, groups: Sequence[Sequence[Tokens]]) -> list[list[float]]:
        """Switch to an adapter and compute, without another call in between. Raises ModelNotFound."""
        with self._device_lock:
            engine.decoder = self.use(name)
            return engine.logits(groups)

    def scorer(self, name: str) -> CrossEncoder:
        """Return a scorer of one adapter; it shares base, engine and prompt with all others that have its manifest.

        It scores with the adapter that has the name at the time. Raises ModelNotFound, and so does scoring once the
        adapter is removed.
        """
        adapter = self._find(name)
        prompt, engine = self._engine_of(adapter)
        checkpoint = Checkpoint(name, self.base, prompt.tokenizer, adapter.manifest)
        return CrossEncoder(checkpoint, engine=_Switching(self, name, engine), prompt=prompt)

    def _find(self, name: str) -> _Adapter:
        with self._table_lock:
            if name not in self._adapters:
                loaded = ", ".join(sorted(self._adapters)) or "none"
                raise ModelNotFound(f"No adapter {name!r} is loaded.", remedy=f"Load it first. Loaded: {loaded}.")
            return self._adapters[name]

    def _engine_of(self, adapter: _Adapter) -> tuple[Prompt, PackedEngine]:
        """Build prompt and engine by manifest and tokenizer. A tokenizer keeps state, so each prompt has its own."""
        manifest, directory = adapter.manifest, tokenizer_directory(adapter.directory, self.directory)
        with self._tokenizer_lock:
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

    def _buffers(self) -> Decoder:
        """Return buffers to merge into: new ones, or those of an adapter that was removed or is least recently used."""
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
        """Return one logit for each pair. Raises ModelNotFound."""
        return self._registry.logits(self._adapter, self._engine, groups)


def _merge(base: Decoder, lora: Lora, decoder: Decoder) -> None:
    """Write the base's matrices with an adapter's factors, and the adapter's head, into `decoder`'s own buffers."""
    # The registry takes no matrices in FP8.
    slots, stored = (cast("dict[str, torch.Tensor]", one.slots()) for one in (decoder, base))
    for name, weight in stored.items():
        if name in lora.factors:
            lora.factors[name].merge(weight, slots[name])
        elif slots[name].data_ptr() != weight.data_ptr():
            slots[name].copy_(weight)
    decoder.head.copy_(base.head if lora.head is None else lora.head)
