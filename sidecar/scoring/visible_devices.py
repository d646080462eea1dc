"""Print the devices for `devices = auto`, one a line: every GPU that torch sees, else the CPU."""

from __future__ import annotations

import sys

from sidecar.scoring.hardware import has_accelerator


def visible_devices() -> list[str]:
    """Return torch's names of all GPUs, or of the only other device; torch is loaded only if there may be a GPU."""
    if not has_accelerator():
        return ["cpu"]
    import torch

    if torch.cuda.is_available():
        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["mps" if torch.backends.mps.is_available() else "cpu"]


if __name__ == "__main__":
    sys.stdout.write("".join(f"{name}\n" for name in visible_devices()))
