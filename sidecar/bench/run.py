"""The bench from start to end: prepare, load, fit the work to the time, measure in turn, compare with the oracle."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sidecar.bench import ours, scaling
from sidecar.bench.report import Machine, Report, Work, left_out, lines
from sidecar.bench.rounds import Clock, Timing, count, fit, interleave
from sidecar.bench.subject import Subject, prepare
from sidecar.bench.system import LeftOut, Offer, System, load
from sidecar.bench.work import Query, by_typicality, read_queries, synthetic_queries

LIBRARIES = (
    *("torch", "transformers", "sentence-transformers", "rerankers", "onnxruntime", "openvino", "optimum-intel"),
    "rerank-sidecar",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command was asked for; `pairs` None makes texts up, `model` and `shape` None take the embedded model."""

    pairs: Path | None = None
    model: str | None = None
    shape: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    minutes: float = 5.0
    rounds: int = 10
    seed: int = 0
    scaling: bool = False


def run(options: Options, *, clock: Clock, say: Callable[[str], None] = lambda _: None) -> Report:
    """Measure everything that can run here. Raises what loading the model, or reading the pairs, raises."""
    from sidecar.bench import competitors

    began = clock()
    with tempfile.TemporaryDirectory(prefix="sidecar-bench-") as folder, quiet():
        subject = prepare_subject(options, Path(folder))
        queries, read = typical(options, subject)
        systems, missing = _load_all([*competitors.offers(), *ours.offers()], subject, say)
        return _measure(options, subject, systems, missing, queries, read, until=began + 60 * options.minutes, clock=clock, say=say)


def prepare_subject(options: Options, folder: Path) -> Subject:
    """The model to measure with, saved in a folder."""
    return prepare(
        folder / "model",
        model=options.model,
        shape=options.shape,
        device=options.device,
        dtype=options.dtype,
        seed=options.seed,
    )


Read = Callable[[Query], list[int]]


def typical(options: Options, subject: Subject) -> tuple[list[Query], Read]:
    """The queries, most typical first, and what tells the real tokens of each pair of one."""
    from sidecar.scoring.architecture import reads_segments
    from sidecar.scoring.prompt import Prompt

    checkpoint = subject.checkpoint
    prompt = Prompt(checkpoint.tokenizer, checkpoint.manifest, segments=reads_segments(checkpoint.model))

    def read(query: Query) -> list[int]:
        return [len(pair) for pair in prompt.pairs(query.text, query.passages)]

    manifest = checkpoint.manifest
    found = (
        synthetic_queries(manifest, seed=options.seed)
        if options.pairs is None
        else read_queries(options.pairs, manifest)
    )
    return by_typicality(found, lambda query: sum(read(query))), read


def _load_all(
    offers: Sequence[Offer], subject: Subject, say: Callable[[str], None]
) -> tuple[list[System], list[LeftOut]]:
    from sidecar.scoring.measures import Memory

    memory = Memory(subject.checkpoint.model.device)
    systems: list[System] = []
    missing: list[LeftOut] = []
    for offer in offers:
        say(f"loading {offer.name}")
        found = load(offer, subject, memory)
        if isinstance(found, System):
            systems.append(found)
        else:
            missing.append(found)
    return systems, missing


def _measure(  # noqa: PLR0913  by keyword
    options: Options,
    subject: Subject,
    systems: list[System],
    missing: list[LeftOut],
    queries: list[Query],
    read: Read,
    *,
    until: float,
    clock: Clock,
    say: Callable[[str], None],
) -> Report:
    from sidecar.bench.competitors.card import YARDSTICK, oracle
    from sidecar.scoring.measures import Memory

    machine = describe(subject)
    say(f"warming up {len(systems)} systems")
    chosen = fit(systems, queries, rounds=options.rounds, until=until, clock=clock)
    say(f"{options.rounds} rounds of {count(chosen)} pairs")
    device = subject.checkpoint.model.device
    timings: list[Timing] = interleave(
        systems, chosen, rounds=options.rounds, clock=clock, memory=Memory(device)
    )
    say("scoring with the oracle")
    true = oracle(subject)
    work = _describe_work(options, subject, queries, chosen, missing, read)
    measured = lines(
        systems, timings, [true(query) for query in chosen], work=work, machine=machine, card=YARDSTICK
    )
    if options.scaling:
        say("growing documents and callers")
        measured = [_scaled(line, subject, queries, clock) if line.name == ours.AUTOMATIC else line for line in measured]
    return Report(machine, work, measured)


def _scaled(line: Any, subject: Subject, queries: Sequence[Query], clock: Clock) -> Any:
    scorer = ours.scorer(subject, "auto")
    return msgspec.structs.replace(
        line,
        by_documents=scaling.by_documents(scorer, queries, clock),
        by_callers=scaling.by_callers(scorer, queries, clock),
    )


def describe(subject: Subject) -> Machine:
    """The machine, with the matmul peak it reaches right now."""
    from sidecar.scoring.measures import describe_machine, matmul_peak

    model = subject.checkpoint.model
    return Machine(
        describe_machine(model.device),
        subject.device,
        subject.dtype,
        matmul_peak(model.device, model.dtype) / 1e9,
        dict(_versions()),
    )


def _versions() -> Iterator[tuple[str, str]]:
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield name, importlib.metadata.version(name)


def _describe_work(  # noqa: PLR0913, PLR0917  one for each thing it says
    options: Options,
    subject: Subject,
    queries: Sequence[Query],
    chosen: Sequence[Query],
    missing: Sequence[LeftOut],
    read: Read,
) -> Work:
    from sidecar.scoring.measures import useful_flops

    lengths = [length for query in chosen for length in read(query)]
    pairs = count(chosen)
    cut = "" if pairs == count(queries) else (
        f"cut to fit {options.minutes:g} minutes: {len(chosen)} of {len(queries)} queries (those whose tokens are nearest "
        f"the median query's), {pairs} of their {sum(len(q.passages) for q in queries[: len(chosen)])} passages, the same "
        "for every system"
    )
    return Work(
        model=subject.checkpoint.name,
        source=options.pairs.name if options.pairs else f"made-up texts of DL19's lengths (seed {options.seed})",
        queries=len(chosen),
        pairs=pairs,
        tokens=sum(lengths),
        gflop=useful_flops(subject.checkpoint.model, lengths) / 1e9,
        rounds=options.rounds,
        cut=cut,
        left_out=left_out(missing),
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' bars, warnings and logs off the terminal while they load, export and score."""
    from sidecar.scoring.quiet import quiet_libraries

    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with quiet_libraries(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
