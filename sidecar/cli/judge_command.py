"""`sidecar judge`: export the pool of runs to be judged, let a model judge it, and read it back as qrels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from sidecar.cli.app import command
from sidecar.cli.effects import Condition
from sidecar.cli.factories import digest
from sidecar.cli.long_run import keep_finished, keep_inputs, kept, say_discarded
from sidecar.cli.options import FIELDS, TOPICS, takes
from sidecar.cli.progress import Pace, progress, working
from sidecar.cli.terminal import say
from sidecar.core.atomic_write import atomic_write
from sidecar.core.errors import ConfigurationError
from sidecar.settings import Settings

if TYPE_CHECKING:
    from sidecar.experiments.kappa import Agreement
    from sidecar.experiments.pool_files import Pool


class Mode(StrEnum):
    """The steps of judging: export a pool, fill it by a model, read it as qrels."""

    EXPORT = "export"
    FILL = "fill"
    READ = "read"


_CONDITIONS = (
    Condition(
        ("depth", "topics", "corpus", *FIELDS), lambda mode: mode.step is Mode.EXPORT, "only the step export takes it"
    ),
    Condition(("llm_url", "llm_model", "resume"), lambda mode: mode.step is Mode.FILL, "only the step fill takes it"),
    Condition(("partial",), lambda mode: mode.step is Mode.READ, "only the step read takes it"),
    Condition(("qrels",), lambda mode: mode.step is not Mode.EXPORT, "agreement is measured on graded pairs"),
)


@command(
    "judge", example="sidecar judge export run.trec --topics queries.tsv --corpus corpus.jsonl --output pool.jsonl"
)
@takes(*FIELDS, conditions=_CONDITIONS)
def judge_command(
    step: Annotated[Mode, typer.Argument(help="Step.")],
    files: Annotated[list[Path], typer.Argument(help="For export the runs, otherwise the pool.")],
    output: Annotated[Path, typer.Option(dir_okay=False, help="File to write: a pool, or for read the qrels.")],
    topics: Annotated[Path | None, typer.Option(help=f"Texts of the queries: {TOPICS}.")] = None,
    corpus: Annotated[
        list[Path] | None, typer.Option(help="Texts of the documents that no candidate list holds. May be repeated.")
    ] = None,
    depth: Annotated[int, typer.Option(min=1, max=1000, help="First hits of each run that are judged.")] = 10,
    llm_url: Annotated[
        str | None, typer.Option(help="Base URL of an OpenAI-compatible API; OPENAI_API_KEY holds its key.")
    ] = None,
    llm_model: Annotated[str | None, typer.Option(help="Model that judges.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Judgements by people, to measure agreement with.")] = None,
    *,
    partial: Annotated[bool, typer.Option("--partial", help="Leave out pairs without a grade.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a step fill that was interrupted.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    settings: Settings,
) -> None:
    """Export the first hits of runs to be judged, let a model judge them, or read the grades as qrels.

    People fill in `grade` of each line. Grades of a model are marked as such, in the pool and in the qrels.
    """
    keep_finished(output, force=force, resume=resume)
    if step is not Mode.FILL:  # a pool may be filled in its place: nothing of it is lost
        keep_inputs(output, files)
    if step is Mode.EXPORT:
        _export(files, output, topics, corpus or [], depth, settings)
        return
    if len(files) != 1:
        raise ConfigurationError(f"{step.value} takes one pool, not {len(files)} files.")
    from sidecar.experiments.pool_files import read_pool

    with working(f"reading {files[0]}"):
        pool = read_pool(files[0])
    if step is Mode.FILL:
        pool = _fill(pool, files[0], output, llm_url, llm_model, resume=resume, force=force)
    found = _agreement(pool, qrels)
    if step is Mode.READ:
        _read(pool, files[0], output, found, partial=partial)
    if found is not None:
        kappas = ", ".join("not defined" if one is None else f"{one:.3f}" for one in (found.kappa, found.binary_kappa))
        say(
            f"agreement on {found.pairs} pairs: {found.equal:.1%} equal; Cohen's kappa by grade, by relevance: {kappas}"
        )


def _export(
    runs: Sequence[Path], output: Path, topics: Path | None, corpora: Sequence[Path], depth: int, settings: Settings
) -> None:
    from sidecar.experiments.pool_files import make_pool, write_pool
    from sidecar.experiments.pool_texts import passages_of
    from sidecar.report.examples import read_texts
    from sidecar.report.run_lists import load_runs

    with working("reading the runs"):
        found = load_runs(runs)
        queries = read_texts(found, topics, ()).queries
    wanted = {docid for run in found for docids in run.order.values() for docid in docids[:depth]}
    with working("looking up texts"):
        lists = [run.path for run in found if run.scored]
        passages = passages_of(wanted, lists, corpora, settings.as_fields())
    pool = make_pool([run.order for run in found], [run.name for run in found], depth, queries, passages)
    write_pool(output, pool.header, pool.pairs)
    say(f"{pool.header.pairs} pairs of {len({pair.qid for pair in pool.pairs})} queries → {output}")


def _fill(
    pool: Pool, path: Path, output: Path, url: str | None, model: str | None, *, resume: bool, force: bool
) -> Pool:
    """Let a model grade every pair without a grade."""
    from sidecar.cli.model_judge import ModelJudge, connect
    from sidecar.experiments.journal import Journal
    from sidecar.experiments.pool_files import PoolPair, read_pool, write_pool

    if url is None or model is None:
        raise ConfigurationError("fill asks a model.", remedy="Give --llm-url and --llm-model.")
    identity = {"pool": digest(path), "model": model}
    with kept(Journal(output, identity, resume=resume, replace=force)) as journal, connect(url) as client:
        say_discarded(journal)
        judge = ModelJudge(model, client)
        todo = [pair for pair in pool.pairs if pair.grade is None and pair.key not in journal.done]
        with progress("judging", Pace("pairs", total=len(todo))) as meter:
            for pair in todo:
                filled = msgspec.structs.replace(pair, grade=judge.grade(pair), judge=judge.name)
                journal.add(pair.key, msgspec.json.encode(filled))
                meter.advance()
        filled_pairs = {one.key: one for one in (msgspec.json.decode(line, type=PoolPair) for line in journal.lines())}
        write_pool(output, pool.header, [filled_pairs.get(pair.key, pair) for pair in pool.pairs])
        journal.remove()
    say(f"{len(filled_pairs)} pairs graded by the model {model} → {output}")
    return read_pool(output)


def _agreement(pool: Pool, qrels: Path | None) -> Agreement | None:
    """Compare the grades with those of people, on the pairs that both have; say so if there is none."""
    from sidecar.experiments.kappa import agreement
    from sidecar.experiments.pool_files import graded
    from sidecar.experiments.qrels import read_qrels

    if qrels is None:
        return None
    known = read_qrels(qrels)
    both = [
        (grade, known[pair.qid][pair.docid])
        for pair, grade in graded(pool, partial=True)
        if pair.docid in known.get(pair.qid, {})
    ]
    found = agreement([one for one, _ in both], [two for _, two in both])
    if found is None:
        raise ConfigurationError(
            f"{qrels} judges none of the graded pairs.", remedy="Are these the qrels of the same collection?"
        )
    return found


def _read(pool: Pool, path: Path, output: Path, found: Agreement | None, *, partial: bool) -> None:
    from sidecar.experiments.manifest import manifest_of
    from sidecar.experiments.pool_files import graded

    pairs = list(graded(pool, partial=partial))
    if not pairs:
        raise ConfigurationError(f"{path} has no grade.", remedy="Fill in `grade` of its lines.")
    models = sorted({pair.judge for pair, _ in pairs if pair.judge and pair.judge.startswith("model ")})
    with atomic_write(output) as stream:
        # The second column of qrels has no meaning to evaluators; here it tells a model's grades from people's.
        stream.writelines(
            f"{pair.qid} {'model' if pair.judge in models else '0'} {pair.docid} {grade}\n" for pair, grade in pairs
        )
    by_model = sum(pair.judge in models for pair, _ in pairs)
    about: dict[str, Any] = {
        "pool": msgspec.to_builtins(pool.header),
        "judged": len(pairs),
        "without_grade": len(pool.pairs) - len(pairs),
        "judged_by_models": by_model,
        "models": models,
        "agreement": None if found is None else asdict(found),
    }
    with atomic_write(manifest_of(output)) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(about), indent=2).decode() + "\n")
    left = f", {about['without_grade']} without a grade left out" if about["without_grade"] else ""
    marked = f", {by_model} of them by a model ({', '.join(models)})" if by_model else ""
    say(f"{len(pairs)} judgements{marked}{left} → {output}")
