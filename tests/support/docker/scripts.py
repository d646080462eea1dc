"""The scripts that the images run, in a Python of their own."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.docker.dockerfile import ROOT


def script(name, *words, **env):
    """Run docker/`name` with nothing in its environment but PATH and what is given."""
    command = [sys.executable, "-I", ROOT / "docker" / name, *words]
    kept = {"PATH": os.environ["PATH"]}
    return subprocess.run(command, env=kept | env, capture_output=True, text=True, check=False)
