"""Measure the GPU memory and the speed of `sidecar train` with the card's settings, on a base of a real shape.

    python -m benchmarks.training_memory [--shape 3b] [--device cuda]

The base's weights are drawn by seed and saved in TMPDIR. The groups are made up: once with texts of DL19's lengths
and once with texts that fill the limit of 228 tokens, each with and without gradient checkpointing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch

from sidecar.bench.shapes import SHAPES, random_llama, save
from sidecar.bench.work import Query, synthetic_queries
from sidecar.scoring.checkpoints.checkpoint import Placement
from sidecar.scoring.checkpoints.manifest import Manifest

GROUPS_OF_A_QUERY, PASSAGES = 4, 25


def write_groups(path: Path, queries: Sequence[Query], *, times: int) -> None:
    """Write groups of one positive and other passages in Tevatron's shape; each text is repeated so many times."""
    with path.open("wb") as file:
        for query in queries:
            for number in range(GROUPS_OF_A_QUERY):
                chosen = query.passages[number * PASSAGES : (number + 1) * PASSAGES]
                texts = [
                    {"docid": f"{number}-{at}", "title": "", "text": " ".join([passage.text] * times)}
                    for at, passage in enumerate(chosen)
                ]
                group = {
                    "query_id": f"{query.qid}-{number}",
                    "query": query.text,
                    "positive_passages": texts[:1],
                    "negative_passages": texts[1:],
                }
                file.write(msgspec.json.encode(group) + b"\n")


def train(base: Path, data: Path, output: Path, device: str, *options: str) -> str:
    """Train as a user would; return the last line of the output."""
    command = [sys.executable, "-m", "sidecar", "train", str(data), "--output", str(output), "--base-model", str(base)]
    settings = ["--device", device, "--distillation-weight", "0", "--epochs", "1", "--checkpoint-steps", "1000"]
    done = subprocess.run([*command, *settings, *options], capture_output=True, text=True, check=False)  # noqa: S603
    return (done.stdout + done.stderr).strip().splitlines()[-1].partition(" → ")[0]


def main() -> None:
    """Draw the base, and train on it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="3b")
    parser.add_argument("--device", default="cuda")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="training-memory-") as name:
        folder = Path(name)
        dtype = torch.bfloat16 if asked.device != "cpu" else torch.float32
        base = random_llama(asked.shape, seed=0, device=Placement(asked.device).torch_device(), dtype=dtype)
        save(base, folder / "base")
        del base
        queries = synthetic_queries(Manifest(), seed=0)
        for lengths, times in (("texts of DL19's lengths", 1), ("texts that fill the limit", 20)):
            data = folder / f"{times}.jsonl"
            write_groups(data, queries, times=times)
            for option in ((), ("--no-gradient-checkpointing",)):
                output = folder / f"adapter-{times}-{len(option)}"
                found = train(folder / "base", data, output, asked.device, *option)
                sys.stdout.write(f"{lengths}, {' '.join(option).lstrip('-') or 'as it is'}: {found}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
