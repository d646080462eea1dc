"""Compile a layer's steps: before they are needed, or in the background while the uncompiled ones serve."""

from __future__ import annotations

import functools
import logging
import os
import queue
import shutil
import sysconfig
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sidecar.core.model_spec import Compiling
from sidecar.scoring.engines.packed.block import Steps, rope_tables
from sidecar.scoring.engines.packed.weights import Decoder

log = logging.getLogger(__name__)
# Rows of the warm-up. The result of any number from 2 on serves all others from 2 on.
ROWS = 64


def start(mode: Compiling, plain: Steps, decoder: Decoder) -> CompiledSteps | None:
    """Compile as asked; None if nothing is to be compiled."""
    if mode == "never" or (mode == "auto" and not pays(decoder.device.type)):
        return None
    steps = CompiledSteps(plain, decoder)
    if mode == "before":
        steps.wait()
    return steps


def pays(device: str) -> bool:
    """True if compiling makes this kind of device faster and is possible: Triton needs a C compiler and Python.h."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return device == "cuda" and compiler is not None and header.is_file()


class CompiledSteps:
    """`steps` are uncompiled until the compiled ones have run once; if compiling fails they stay so, with a warning.

    `backend` is torch.compile's.
    """

    def __init__(self, plain: Steps, decoder: Decoder, *, backend: Any = "inductor") -> None:
        self.steps = plain
        self._plain, self._decoder, self._backend = plain, decoder, backend
        self._decided = threading.Event()
        _compiler().put(self._compile)

    def wait(self) -> None:
        """Wait until it is decided which steps serve."""
        self._decided.wait()

    def _compile(self) -> None:
        try:
            compiled = Steps(
                pre_attention=torch.compile(self._plain.pre_attention, backend=self._backend),
                queries=self._plain.queries,  # of the last layer alone
                post_attention=torch.compile(self._plain.post_attention, backend=self._backend),
            )
            _warm_up(compiled, self._decoder)
        except Exception as error:  # noqa: BLE001  whatever fails in the compiler, the uncompiled steps work
            reason = " ".join(str(error).split("\n")[:2])  # the rest tells how to debug a compiler
            log.warning("torch.compile failed (%s: %s); scoring continues without it.", type(error).__name__, reason)
        else:
            self.steps = compiled
        finally:
            self._decided.set()


@functools.cache
def _compiler() -> queue.SimpleQueue[Callable[[], None]]:
    """Return the queue of the one thread that compiles.

    It compiles all of a process's steps, one after the other: in torch 2.11, a second thread that compiles after the
    first has ended kills the process. It is a daemon thread, so that a process can end while it compiles.
    """
    work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def compile_all() -> None:
        while True:
            work.get()()

    threading.Thread(target=compile_all, name="compile", daemon=True).start()
    return work


@torch.inference_mode()
def _warm_up(steps: Steps, decoder: Decoder) -> None:
    shape, layer, weights = decoder.shape, decoder.layers[0], decoder.embeddings
    rows = weights.new_zeros(ROWS, shape.hidden)
    rotary = decoder.rotary[decoder.architecture.layer_types[0]]
    cos, sin = rope_tables(rotary, torch.arange(ROWS, device=weights.device), weights.dtype)
    attended = weights.new_zeros(ROWS, shape.queries)
    for tensor in (rows, cos, sin, attended):
        torch._dynamo.mark_dynamic(tensor, 0)  # noqa: SLF001  the documented way to say which size varies
    steps.pre_attention(rows, layer, cos, sin)
    steps.post_attention(rows, attended, layer)
