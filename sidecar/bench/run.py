"""The whole benchmark: prepare, load, fit the work to the time, measure in turn, compare with the oracle."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sidecar.bench import ours, scaling
from sidecar.bench.options import Options
from sidecar.bench.report import Machine, Report, SystemFigures, WorkFigures, lines
from sidecar.bench.rounds import Clock, count, fit, interleave
from sidecar.bench.subject import Subject, prepare
from sidecar.bench.system import LeftOut, System, load
from sidecar.bench.work import LEAST_PASSAGES, Query, by_typicality, queries_for

LIBRARIES = (
    *("torch", "transformers", "sentence-transformers", "rerankers", "onnxruntime", "openvino", "optimum-intel"),
    "rerank-sidecar",
)
Say = Callable[[str], None]
Lengths = Callable[[Query], list[int]]


def run(options: Options, *, clock: Clock, say: Say = lambda _: None) -> Report:
    """Measure everything that can run here. Raises what loading the model, or reading the pairs, raises."""
    from sidecar.bench.competitors.card import oracle
    from sidecar.bench.measures import Memory

    until = clock() + 60 * options.minutes
    with tempfile.TemporaryDirectory(prefix="sidecar-bench-") as folder:
        say("preparing the model and the pairs")
        with quiet():
            subject = prepare(Path(folder) / "model", options)
        lengths = token_counts(subject)
        memory = Memory(subject.checkpoint.model.device)
        queries = by_typicality(
            queries_for(options.pairs, subject.checkpoint.manifest, seed=options.seed),
            lambda query: sum(lengths(query)),
        )
        systems, left_out = load_all(subject, memory, queries[0].sample(LEAST_PASSAGES), say)
        with quiet():
            say(f"warming up {len(systems)} systems")
            machine = describe(subject)
            chosen = fit(systems, queries, rounds=options.rounds, until=until, clock=clock)
            say(f"{options.rounds} rounds of {count(chosen)} pairs, in {options.minutes:g} minutes at most")
            timings = interleave(systems, chosen, rounds=options.rounds, clock=clock, memory=memory)
            for system in systems:
                system.score = _freed  # in float32 the oracle may be as large as several of them
            say("scoring with the oracle")
            score = oracle(subject)
            truth = [score(query) for query in chosen]
            work = describe_work(options, subject, queries, chosen, lengths, left_out)
            measured = lines(systems, timings, truth, work=work, machine=machine)
            if options.scaling:
                say("growing documents and callers")
                measured = [grown(line, subject, queries, clock) for line in measured]
    return Report(machine, work, measured)


def token_counts(subject: Subject) -> Lengths:
    """Return a function that counts the real tokens of each pair of a query."""
    from sidecar.scoring.prompt import Prompt

    prompt = Prompt(subject.checkpoint.tokenizer, subject.checkpoint.manifest)
    return lambda query: [len(pair) for pair in prompt.pairs(query.text, query.passages)]


def load_all(subject: Subject, memory: Any, sample: Query, say: Say) -> tuple[list[System], dict[str, str]]:
    """Load every system that can run here; the others by name with the reason."""
    from sidecar.bench import competitors

    systems: list[System] = []
    left_out: dict[str, str] = {}
    for offer in [*competitors.offers(), *ours.offers(subject)]:
        say(f"loading {offer.name}")
        with quiet():  # once for each, since exporters change the log settings
            found = load(offer, subject, memory, sample)
        if isinstance(found, LeftOut):
            left_out[found.name] = found.reason
        else:
            systems.append(found)
    return systems, left_out


def grown(line: SystemFigures, subject: Subject, queries: Sequence[Query], clock: Clock) -> SystemFigures:
    """Add the series to the line of `ours`; return any other line unchanged."""
    if line.name != ours.AUTOMATIC:
        return line
    scorer = ours.automatic(subject)
    return msgspec.structs.replace(
        line,
        by_documents=scaling.by_documents(scorer, queries, clock),
        by_callers=scaling.by_callers(scorer, queries, clock),
    )


def describe(subject: Subject) -> Machine:
    """Describe the machine, with its present matmul peak."""
    from sidecar.bench.measures import describe_machine, matmul_peak

    model = subject.checkpoint.model
    peak = matmul_peak(model.device, model.dtype) / 1e9
    return Machine(describe_machine(model.device), subject.device, subject.dtype, peak, dict(_versions()))


def _versions() -> Iterator[tuple[str, str]]:
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield name, importlib.metadata.version(name)


def describe_work(  # noqa: PLR0913, PLR0917  one for each property it describes
    options: Options,
    subject: Subject,
    queries: Sequence[Query],
    chosen: Sequence[Query],
    lengths: Lengths,
    left_out: dict[str, str],
) -> WorkFigures:
    """Describe a round, and what of the pairs was cut."""
    from sidecar.bench.measures import useful_flops

    tokens = [length for query in chosen for length in lengths(query)]
    return WorkFigures(
        model=subject.checkpoint.name,
        source=options.pairs.name if options.pairs else f"made-up texts of DL19's lengths (seed {options.seed})",
        queries=len(chosen),
        pairs=len(tokens),
        tokens=sum(tokens),
        gflop=useful_flops(subject.checkpoint.model, tokens) / 1e9,
        rounds=options.rounds,
        cut=_describe_cut(options, queries, chosen),
        left_out=left_out,
    )


def _describe_cut(options: Options, queries: Sequence[Query], chosen: Sequence[Query]) -> str:
    if count(chosen) == count(queries):
        return ""
    return (
        f"cut to fit {options.minutes:g} minutes, the same for every system: {len(chosen)} of {len(queries)} queries, "
        f"those whose tokens are nearest the median query's, with {count(chosen)} of their "
        f"{count(queries[: len(chosen)])} passages, spread over the ranks"
    )


def _freed(query: Query) -> list[float]:
    raise RuntimeError(f"{query.qid}: its scorer was measured, and is no longer loaded")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars, warnings and logs off the terminal while they load, export and score."""
    from sidecar.scoring.checkpoints.quiet import quiet_libraries

    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with quiet_libraries(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
