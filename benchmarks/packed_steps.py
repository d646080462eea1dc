"""Measure each step of the packed engine on a GPU, its memory, FP8 weights, and the cost of switching an adapter.

    python -m benchmarks.packed_steps [--shape 3b] [--pairs LISTS.jsonl.gz] [--rounds 10] [--device cuda]

The weights have a real shape, are drawn by seed, and are saved once in TMPDIR (6.4 GB for 3b). The steps are timed in
turn, from token ids to scores, on the query whose tokens are nearest the median query's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from safetensors.torch import save_file

from sidecar.bench.measures import Memory, describe_machine, matmul_peak, synchronize, useful_flops
from sidecar.bench.rounds import interleave
from sidecar.bench.shapes import SHAPES, random_llama, save
from sidecar.bench.system import System
from sidecar.bench.work import by_typicality, queries_for
from sidecar.core.errors import ConfigurationError
from sidecar.scoring.adapter_registry import AdapterRegistry
from sidecar.scoring.checkpoints.checkpoint import Placement, load_tokenizer
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.checkpoints.precision import FP8
from sidecar.scoring.engines.packed.engine import PackedEngine, Rotations
from sidecar.scoring.engines.packed.layout import Layout
from sidecar.scoring.engines.packed.loader import packs, read_decoder, shapes_of
from sidecar.scoring.engines.packed.transfer import send
from sidecar.scoring.engines.packed.weights import Decoder
from sidecar.scoring.engines.padding import pad_id
from sidecar.scoring.prompt import Prompt, Tokens

TOKENS, LENGTH = 16384, 128  # of the batch for the memory, and of each of its pairs
RANK = 16


class WholeLastLayer(PackedEngine):
    """Computes the last layer for every row, as transformers does."""

    def _last_layer(self, x: torch.Tensor, rotations: Rotations, layout: Layout) -> torch.Tensor:
        x = self._layers(slice(-1, None), x, rotations, layout)
        return x[send(layout.pooled_rows, self.device)]


def steps(decoder: Decoder, in_fp8: Decoder | None, eos: int) -> Iterator[tuple[str, PackedEngine]]:
    """Yield the engine with one more optimisation at a time, then complete, with FP8, uncompiled, and invariant."""
    yield "no padding", WholeLastLayer(decoder, Manifest(), eos=eos, share=False)
    yield "+ compiled", WholeLastLayer(decoder, Manifest(), eos=eos, share=False, compile="before")
    yield "+ last layer for pooled rows", PackedEngine(decoder, Manifest(), eos=eos, share=False, compile="before")
    yield "+ shared prefix: the engine", PackedEngine(decoder, Manifest(), eos=eos, compile="before")
    if in_fp8 is not None:
        yield "the engine, fp8", PackedEngine(in_fp8, Manifest(), eos=eos, compile="before")
        yield "the engine, fp8, not compiled", PackedEngine(in_fp8, Manifest(), eos=eos)
    yield "the engine, not compiled", PackedEngine(decoder, Manifest(), eos=eos)
    yield "the engine, invariant", PackedEngine(decoder, Manifest(), eos=eos, invariant=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """The requested measurements, and their device."""

    shape: str
    pairs: Path | None
    rounds: int
    device: torch.device
    dtype: str


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def measure(asked: Asked, folder: Path) -> None:
    """Print all of it."""
    placement = Placement(str(asked.device), asked.dtype)
    say(f"{describe_machine(asked.device)}, torch {torch.__version__}, shape {asked.shape}, {asked.dtype}")
    flops = prepare(asked, placement, folder)
    memory = Memory(asked.device)
    before = memory.now() or 0
    decoder = read(folder, placement, memory)
    tokenizer = load_tokenizer(folder)
    memory.forget()
    pairs = [Tokens([7 + (index + place) % 999 for place in range(LENGTH)]) for index in range(TOKENS // LENGTH)]
    PackedEngine(decoder, Manifest(), eos=pad_id(tokenizer, decoder=True), max_tokens=TOKENS).logits([pairs])
    say(f"{TOKENS} tokens in one batch: {_grown(memory, before):.2f} GB in all")
    time_steps(asked, (decoder, read_fp8(folder, placement, memory)), tokenizer, memory, flops)
    shapes = shapes_of(decoder)
    del decoder
    time_switches(asked, placement, folder, shapes)


def prepare(asked: Asked, placement: Placement, folder: Path) -> Any:
    """Save the weights; return a function that gives the useful operations of pairs of these lengths."""
    began = perf_counter()
    dtype = placement.torch_dtype()
    checkpoint = random_llama(asked.shape, seed=0, device=asked.device, dtype=dtype)
    save(checkpoint, folder)
    skeleton = checkpoint.model.to("meta")
    if asked.device.type == "cuda":
        torch.cuda.empty_cache()
    say(f"drawn and saved in {perf_counter() - began:.1f} s")
    return lambda lengths: useful_flops(skeleton, lengths)


def read(folder: Path, placement: Placement, memory: Memory) -> Decoder:
    """Read the weights; print how long it takes, and the memory."""
    memory.forget()
    before, began = memory.now() or 0, perf_counter()
    decoder = read_decoder(folder, placement)
    synchronize(placement.torch_device())
    weights, seconds = (memory.now() or 0) - before, perf_counter() - began
    say(f"read in {seconds:.1f} s: {weights / 1e9:.2f} GB, at most {_grown(memory, before):.2f} on the way")
    return decoder


def read_fp8(folder: Path, placement: Placement, memory: Memory) -> Decoder | None:
    """Read the weights and convert them to FP8; None, and a line that says why, if that can't be computed here."""
    placement = replace(placement, quantization=FP8)
    try:
        packs("packed", folder, placement)
    except ConfigurationError as error:
        say(f"left out: {error.message}")
        return None
    return read(folder, placement, memory)


def time_steps(
    asked: Asked, decoders: tuple[Decoder, Decoder | None], tokenizer: Any, memory: Memory, flops: Any
) -> None:
    """Print a line for each step, from ids to scores; at the end, how long tokenising the texts takes."""
    queries = queries_for(asked.pairs, Manifest(), seed=0)
    prompt = Prompt(tokenizer, Manifest(), segments=False)
    query = by_typicality(queries, lambda one: sum(map(len, prompt.pairs(one.text, one.passages))))[0]
    pairs = prompt.pairs(query.text, query.passages)
    lengths = [len(pair) for pair in pairs]
    systems = []
    began = perf_counter()
    for name, engine in steps(*decoders, pad_id(tokenizer, decoder=True)):
        engine.logits([pairs])
        say(f"{name}: ready after {perf_counter() - began:.1f} s")
        began = perf_counter()
        systems.append(System(name, name, lambda _, engine=engine: engine.logits([pairs])[0]))  # type: ignore[misc]
    peak = matmul_peak(asked.device, decoders[0].embeddings.dtype)
    say(f"{len(pairs)} pairs, {sum(lengths)} tokens, {flops(lengths) / 1e12:.1f} TFLOP; peak {peak / 1e12:.0f} TFLOP/s")
    timings = interleave(systems, [query], rounds=asked.rounds, clock=perf_counter, memory=memory)
    for system, timing in zip(systems, timings, strict=True):
        seconds = statistics.median(timing.seconds)
        spread = max(timing.seconds) - min(timing.seconds)
        share = flops(lengths) / seconds / peak
        say(f"{system.name:32}{seconds * 1e3:8.1f} ms ±{spread * 1e3:.1f}  {share:6.1%} of peak, useful operations")
    reading = statistics.median(_seconds(lambda: prompt.pairs(query.text, query.passages)) for _ in range(asked.rounds))
    say(f"reading the texts: {reading * 1e3:.1f} ms")


def time_switches(asked: Asked, placement: Placement, folder: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Print how long it takes to compute with another adapter: one kept merged, and one that must be merged."""
    registry = AdapterRegistry(folder, placement, merged=2)
    for name in "abc":
        draw_adapter(folder / name, shapes)
        began = perf_counter()
        registry.load(name, folder / name)
        seconds = perf_counter() - began
    size = sum(path.stat().st_size for path in (folder / "a").glob("*.safetensors"))
    say(f"an adapter of rank {RANK}: {size / 1e6:.0f} MB, loaded in {seconds:.2f} s")

    def switch(names: str) -> float:
        def use(name: str) -> None:
            registry.use(name)
            synchronize(asked.device)

        for name in names:
            use(name)
        return statistics.median(_seconds(lambda name=name: use(name)) for name in names * asked.rounds)

    say(f"switch to an adapter kept merged: {switch('ab') * 1e3:.2f} ms")
    say(f"switch to one that is merged anew: {switch('abc') * 1e3:.2f} ms")


def draw_adapter(directory: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Save a LoRA of all projections with random factors, and a head."""
    directory.mkdir()
    tensors = {"base_model.model.score.weight": torch.randn(shapes["score"])}
    for name, shape in shapes.items():
        if name.endswith("_proj"):
            tensors[f"base_model.model.{name}.lora_A.weight"] = torch.randn(RANK, shape[1]) * 0.02
            tensors[f"base_model.model.{name}.lora_B.weight"] = torch.randn(shape[0], RANK) * 0.02
    save_file(tensors, directory / "adapter_model.safetensors")
    targets = sorted({name.rpartition(".")[2] for name in shapes if name.endswith("_proj")})
    config = {
        "peft_type": "LORA",
        "task_type": "SEQ_CLS",
        "base_model_name_or_path": str(directory.parent),
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "target_modules": targets,
    }
    (directory / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")


def _seconds(call: Any) -> float:
    began = perf_counter()
    call()
    return perf_counter() - began


def _grown(memory: Memory, before: int) -> float:
    """Return the peak since `forget` minus the memory before, in gigabytes."""
    return ((memory.peak() or 0) - before) / 1e9


def main() -> None:
    """Measure as asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="3b")
    parser.add_argument("--pairs", type=Path, help="a candidate file; else made-up texts of DL19's lengths")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--dtype", default="bfloat16")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="packed-steps-") as folder:
        measure(Asked(given.shape, given.pairs, given.rounds, given.device, given.dtype), Path(folder))


if __name__ == "__main__":
    main()
