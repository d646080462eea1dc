"""Compare the packed engine with transformers on each decoder and encoder that it reads, in one run.

    python -m benchmarks.packed_architectures [--toy] [--device cpu] [--pairs LISTS.jsonl.gz] [--passages 100]

Weights are random, drawn by seed, in the shape of a published checkpoint; with --toy all are 256 wide with 4 layers,
for a CPU. OpenVINO is measured too where it computes the checkpoint: some encoders, on a CPU. The engines are timed in
turn, from token ids to scores, on the query whose tokens are nearest the median query's. Weights are saved in TMPDIR,
one architecture at a time (14.5 GB for mistral-7b).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig

from sidecar.bench.measures import Memory, describe_machine, synchronize
from sidecar.bench.rounds import interleave
from sidecar.bench.shapes import ENCODER_MANIFEST, ENCODER_SHAPES, encoder_config, random_classifier, save
from sidecar.bench.system import System
from sidecar.bench.work import by_typicality, queries_for
from sidecar.core.errors import ConfigurationError
from sidecar.scoring.checkpoints.checkpoint import Checkpoint, Placement
from sidecar.scoring.cross_encoder import CrossEncoder
from sidecar.scoring.engines.base import Engine
from sidecar.scoring.loading import load_scorer

GEMMA = {"vocab_size": 256000, "head_dim": 256}
# Sizes from the `config.json` of each checkpoint named.
CHECKPOINTS: dict[str, dict[str, Any]] = {
    "llama-3.2-1b": {"family": "llama", "sizes": (2048, 8192, 16, 32, 8), "vocab_size": 128256, "head_dim": 64},
    "qwen2.5-0.5b": {"family": "qwen2", "sizes": (896, 4864, 24, 14, 2), "vocab_size": 151936},
    "qwen3-0.6b": {"family": "qwen3", "sizes": (1024, 3072, 28, 16, 8), "vocab_size": 151936, "head_dim": 128},
    "mistral-7b": {"family": "mistral", "sizes": (4096, 14336, 32, 32, 8), "vocab_size": 32768, "sliding_window": None},
    "gemma-2b": {"family": "gemma", "sizes": (2048, 16384, 18, 8, 1), **GEMMA},
    "gemma-2-2b": {"family": "gemma2", "sizes": (2304, 9216, 26, 8, 4), **GEMMA},
    "gemma-3-1b": {
        "family": "gemma3_text", "sizes": (1152, 6912, 26, 4, 1), "sliding_window": 512, **GEMMA, "vocab_size": 262144,
    },
}  # fmt: skip
SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
TOY = {"sizes": (256, 768, 4, 8, 2), "head_dim": 32, "vocab_size": 30528, "query_pre_attn_scalar": 32}
NAMES = [*ENCODER_SHAPES, *CHECKPOINTS]


@dataclass(frozen=True, slots=True)
class Asked:
    """The requested measurements."""

    names: list[str]
    toy: bool
    placement: Placement
    pairs: Path | None
    passages: int
    rounds: int


def config_of(name: str, *, toy: bool) -> Any:
    """Return transformers' configuration of a checkpoint's shape, or of a toy of its architecture."""
    if name in ENCODER_SHAPES:
        return encoder_config(name, **dict(zip(SIZES[:-1], TOY["sizes"][:-1], strict=True)) if toy else {})  # type: ignore[index]
    given = CHECKPOINTS[name]
    known = set(AutoConfig.for_model(given["family"]).to_dict())
    settings = given | ({key: value for key, value in TOY.items() if key in known | {"sizes"}} if toy else {})
    sizes = dict(zip(SIZES, settings["sizes"], strict=True))
    own = {key: value for key, value in settings.items() if key not in ("family", "sizes")}
    return AutoConfig.for_model(given["family"], num_labels=1, **sizes, **own)


def engines_of(checkpoint: Checkpoint, folder: Path, asked: Asked) -> list[Engine]:
    """Return the engines to compare: transformers, the packed one and, if it can compute the checkpoint, OpenVINO."""
    where = str(asked.placement.torch_device())
    compile_when = "before" if where.startswith("cuda") and checkpoint.traits.decoder else "never"
    found = [CrossEncoder(checkpoint).engine]
    for name in ("packed", "openvino"):
        try:
            scorer: Any = load_scorer(
                str(folder), device=where, dtype=asked.placement.dtype_name(), engine=name, compile=compile_when
            )
        except ConfigurationError:
            if name == "packed":
                raise
        else:
            found.append(scorer.engine)
    return found


def measure(name: str, asked: Asked, folder: Path) -> None:
    """Print a line for each engine of one architecture, and compare it with transformers."""
    where, dtype = asked.placement.torch_device(), asked.placement.torch_dtype()
    manifest = ENCODER_MANIFEST if name in ENCODER_SHAPES else None
    config = config_of(name, toy=asked.toy)
    checkpoint = random_classifier(name, config, seed=0, device=where, dtype=dtype, manifest=manifest)
    save(checkpoint, folder)
    engines = engines_of(checkpoint, folder, asked)
    prompt = CrossEncoder(checkpoint).prompt
    queries = queries_for(asked.pairs, checkpoint.manifest, seed=0)
    query = by_typicality(queries, lambda one: sum(map(len, prompt.pairs(one.text, one.passages))))[0]
    query = query.sample(asked.passages)
    pairs = prompt.pairs(query.text, query.passages)
    systems = [
        System(engine.name, engine.name, lambda _, engine=engine: engine.logits([pairs])[0])  # type: ignore[misc]
        for engine in engines
    ]
    for system in systems:
        system.score(query)  # allocates and compiles
    synchronize(where)
    timings = interleave(systems, [query], rounds=asked.rounds, clock=perf_counter, memory=Memory(where))
    say(f"{name}: {len(pairs)} pairs, {sum(map(len, pairs))} tokens")
    for system, timing in zip(systems, timings, strict=True):
        ratios = [a / b for a, b in zip(timings[0].seconds, timing.seconds, strict=True)]
        off = np.abs(np.subtract(timing.scores[0], timings[0].scores[0])).max()
        say(
            f"  {system.name:14}{statistics.median(timing.seconds) * 1e3:8.1f} ms  x {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})  largest difference {off:.1e}, "
            f"{off / np.std(timings[0].scores[0]):.1e} sigma"
        )


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure as asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], help="all of them by default")
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--pairs", type=Path, help="a candidate file; else made-up texts of DL19's lengths")
    parser.add_argument("--passages", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    placement = Placement(given.device, given.dtype)
    asked = Asked(given.names or NAMES, given.toy, placement, given.pairs, given.passages, given.rounds)
    say(f"{describe_machine(placement.torch_device())}, torch {torch.__version__}, {placement.dtype_name()}")
    for name in asked.names:
        with tempfile.TemporaryDirectory(prefix="packed-architectures-") as folder:
            measure(name, asked, Path(folder))


if __name__ == "__main__":
    main()
