"""A scorer's process, and its frames in both directions. Asynchronous; does not know what they mean."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence

from sidecar.serving.scorer.protocol import HEADER_SIZE, FromScorer, ToScorer, from_scorer, length_of, packed

# Torch's threads spin while they wait for each other; beside a busy OpenSearch this costs two thirds of the speed
# (docs/EXPERIMENTS.md).
QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}


class ScorerPipe:
    """One process at a time, started by `command`. Without a process, nothing is sent or received.

    The process has the service's environment variables with those of `environment`.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = tuple(command)
        self._environment = dict(environment)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id, None while there is no process."""
        return self._process.pid if self._process is not None else None

    async def open(self) -> None:
        """Start a process. Raises OSError."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**QUIET_THREADS, **os.environ, **self._environment, "PYTHONUNBUFFERED": "1"},
        )

    def send(self, frame: ToScorer) -> None:
        """Send a frame; it is written when the process reads."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(packed(frame))

    async def receive(self) -> FromScorer | None:
        """Read one frame; None when the process is gone."""
        if self._process is None or self._process.stdout is None:
            return None
        try:
            header = await self._process.stdout.readexactly(HEADER_SIZE)
            return from_scorer(await self._process.stdout.readexactly(length_of(header)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def kill(self) -> None:
        """Kill the process, if there is one."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def close(self) -> None:
        """Kill the process, and wait until it is gone."""
        self.kill()
        if self._process is not None:
            await self._process.wait()
            self._process = None
