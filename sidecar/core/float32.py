"""Single-precision numbers, which Java's `float` and trec_eval use for scores. No I/O."""

from __future__ import annotations

import struct

# The largest single-precision number.
LARGEST = (2 - 2.0**-23) * 2.0**127


def single(value: float) -> float:
    """Round to the nearest single-precision number."""
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def next_below(value: float) -> float:
    """Return the largest single-precision number below `value`, which is itself single precision and finite."""
    if value == 0:
        return -(2.0**-149)
    (bits,) = struct.unpack("i", struct.pack("f", value))
    stepped: float = struct.unpack("f", struct.pack("i", bits - 1 if value > 0 else bits + 1))[0]
    return stepped
