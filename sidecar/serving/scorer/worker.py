"""The scorer's own process: it holds the models and exchanges frames. The only part of the service that loads torch.

It can be killed at any time; the service starts another. `python -m sidecar.serving.scorer.worker` runs it over stdin
and stdout; anything a library prints goes to stderr. Four threads: one receives frames, one tokenises, one reloads
models, and the main one owns the device.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import BinaryIO, Protocol

from sidecar.core.candidates import Passage
from sidecar.scoring import Scorer
from sidecar.scoring.reading import takes_instruction
from sidecar.serving.scorer.device_loop import DeviceLoop, failure
from sidecar.serving.scorer.parent_process import end_with_parent
from sidecar.serving.scorer.protocol import (
    FromScorer,
    Load,
    LoadedModel,
    ModelsLoaded,
    Reload,
    Reloaded,
    packed,
    read_body,
    to_scorer,
)
from sidecar.serving.scorer.scheduler import Scheduler
from sidecar.serving.scorer.tokenizer_thread import TokenizerThread


class Models(Protocol):
    """The scorers by name."""

    scorers: dict[str, Scorer]

    def reload(self, name: str, prove: Callable[[Scorer], None]) -> Scorer:
        """Read a model's files again, and replace the previous model if `prove` does not raise."""
        ...


Build = Callable[[Load], Models]
Identify = Callable[[Load, Mapping[str, Scorer]], dict[str, str]]

# Passages to measure a model's speed with: enough for a batch, few enough for a slow machine.
TRIAL = [Passage("", f"{number} " + "the quick brown fox jumps over the lazy dog " * 7) for number in range(8)]


def serve(build: Build, identify: Identify, incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Load the models, then score batches until the service closes the pipe."""
    pipe = threading.Lock()

    def send(frame: FromScorer) -> None:
        with pipe:
            outgoing.write(packed(frame))
            outgoing.flush()

    first = read_body(incoming)
    load = to_scorer(first) if first is not None else None
    if not isinstance(load, Load):
        return
    scheduler = Scheduler(load.slice_seconds)
    try:
        models = build(load)
        scorers = models.scorers
        identities = identify(load, scorers)
        for name, scorer in scorers.items():
            _warm_up(name, scorer, scheduler)
    except Exception as error:  # noqa: BLE001  the service has to report any error
        send(failure(0, error))
        return
    send(ModelsLoaded({name: _loaded(identities.get(name, name), scorer) for name, scorer in scorers.items()}))
    reader = TokenizerThread(scorers)
    wanted: queue.SimpleQueue[Reload] = queue.SimpleQueue()

    threading.Thread(target=_reload, args=(wanted, models, partial(identify, load), send), daemon=True).start()
    threading.Thread(target=_listen, args=(incoming, reader, wanted), daemon=True).start()
    DeviceLoop(send, scheduler).work(reader.inbox)


def _loaded(identity: str, scorer: Scorer) -> LoadedModel:
    manifest = scorer.manifest
    return LoadedModel(
        identity,
        scorer.mapping,
        manifest.preferred_fusion,
        manifest.max_length,
        takes_instruction=takes_instruction(scorer),
        cuts_documents=True,
    )


def _warm_up(name: str, scorer: Scorer, scheduler: Scheduler) -> None:
    """Score twice: the first call loads and compiles what later calls need, the second measures the speed."""
    scorer.score("ready?", TRIAL[:1])
    reading = scorer.read("how fast?", TRIAL)
    started = time.monotonic()
    scorer.score_all([reading])
    scheduler.measured(name, sum(reading.lengths), time.monotonic() - started)


def _reload(
    wanted: queue.SimpleQueue[Reload],
    models: Models,
    identify: Callable[[Mapping[str, Scorer]], dict[str, str]],
    send: Callable[[FromScorer], None],
) -> None:
    while True:
        frame = wanted.get()
        identities: dict[str, str] = {}

        def prove(scorer: Scorer, name: str = frame.model, found: dict[str, str] = identities) -> None:
            scorer.score("ready?", TRIAL[:1])  # raises for NaN and infinity
            found |= identify({name: scorer})

        try:
            scorer = models.reload(frame.model, prove)
            identity = identities.get(frame.model, frame.model)
            send(Reloaded(frame.number, frame.model, _loaded(identity, scorer)))
        except Exception as error:  # noqa: BLE001  the previous model stays
            send(failure(frame.number, error))


def _listen(incoming: BinaryIO, reader: TokenizerThread, wanted: queue.SimpleQueue[Reload]) -> None:
    while (body := read_body(incoming)) is not None:
        frame = to_scorer(body)
        if isinstance(frame, Reload):
            wanted.put(frame)
        else:
            reader.put(frame)
    reader.put(None)


def load_models(load: Load) -> Models:
    """Load every declared model. Raises what `load_scorer` raises."""
    from sidecar.scoring.model_registry import ModelRegistry

    return ModelRegistry(load.models, merged=load.merged_adapters)


def fingerprints(load: Load, scorers: Mapping[str, Scorer]) -> dict[str, str]:
    """Fingerprint each declared model, to distinguish it from others that had its name."""
    from sidecar.scoring.fingerprint import fingerprint

    return {name: fingerprint(scorer, load.models[name]) for name, scorer in scorers.items()}


def run(build: Build, identify: Identify = lambda *_: {}) -> None:
    """Serve over stdin and stdout until the service closes the pipe."""
    end_with_parent()
    # Ctrl-C reaches the whole process group; the service ends this process after its last answers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    outgoing = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(build, identify, sys.stdin.buffer, outgoing)


if __name__ == "__main__":
    run(load_models, fingerprints)
