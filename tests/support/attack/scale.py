"""How many inputs of each class of attack, and which: `make attack` sends many more, and others each time."""

from __future__ import annotations

import os
import random

SCALE = int(os.environ.get("SIDECAR_TEST_ATTACK", "1"))
SEED = os.environ.get("SIDECAR_TEST_ATTACK_SEED", "0")


def made_up(name, make, count, *arguments):
    """Make attempts, the same ones for the same seed."""
    return [make(random.Random(f"{SEED}-{name}-{number}"), *arguments) for number in range(count)]
