"""The command that starts the scripted scorer."""

from __future__ import annotations

import sys
from pathlib import Path

FAKE = (sys.executable, str(Path(__file__).with_name("fake_scorer.py")))
