"""Copy integers to a device, without waiting for its computation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def send(values: Sequence[int] | np.ndarray, device: torch.device, dtype: type[np.integer] = np.int64) -> torch.Tensor:
    """Copy integers to a device, from pinned memory: CUDA copies from other memory only once the device is idle."""
    tensor = torch.from_numpy(np.asarray(values, dtype=dtype))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
