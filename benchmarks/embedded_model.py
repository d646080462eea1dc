"""Stores a sentence encoder's weights as rows of 8-bit integers, the form in which the package carries its default.

    python -m benchmarks.embedded_model FLOAT_CHECKPOINT OUTPUT

Each row of a matrix becomes integers from -127 to 127 and one float32 scale, the row's largest magnitude over 127.
Vectors (biases, layer norms) are stored in float16 where that is exact, else in float32. The pooler is left out,
because mean pooling does not use it. The command prints the SHA-256 that `bundled_weights.py` checks.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from sidecar.scoring.checkpoints.encoder_model import FILE, SCALE

# Beside the weights; all are text.
COPIED = ("config.json", "tokenizer.json", "tokenizer_config.json")


def main() -> None:
    """Convert a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path, help="directory with a BERT in safetensors, in float32 or float16")
    parser.add_argument("output", type=Path, help="directory to write to")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    stored = save(rounded(load_file(given.checkpoint / FILE)), metadata={"format": "pt"})
    (given.output / FILE).write_bytes(stored)
    for name in COPIED:
        shutil.copyfile(given.checkpoint / name, given.output / name)
    sys.stdout.write(f"{hashlib.sha256(stored).hexdigest()}  {FILE}\n{len(stored)} bytes\n")


def rounded(tensors: dict[str, Any]) -> dict[str, Any]:
    """Round every matrix row by row; the order of the tensors is that of their names, so the bytes repeat."""
    found: dict[str, Any] = {}
    for name, tensor in sorted(tensors.items()):
        if name.removeprefix("bert.").startswith("pooler.") or not np.issubdtype(tensor.dtype, np.floating):
            continue
        values = tensor.astype(np.float32)
        if values.ndim != 2:
            half = values.astype(np.float16)
            found[name] = half if np.array_equal(half.astype(np.float32), values) else values
            continue
        scale = np.abs(values).max(axis=1) / np.float32(127)
        scale[scale == 0] = 1
        found[name] = np.rint(values / scale[:, None]).astype(np.int8)
        found[name + SCALE] = scale
    return found


if __name__ == "__main__":
    main()
