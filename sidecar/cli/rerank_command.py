"""`sidecar rerank`: rerank a candidate file, or a run with its corpus and queries, and write a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sidecar.cli.app import command
from sidecar.cli.factories import identity, stage_two_identity, threshold
from sidecar.cli.long_run import SHARD, TAG, LongRun, RunInputs, chosen_shard, keep_finished, keep_inputs
from sidecar.cli.options import FIELDS, FUSION, LISTWISE, MODEL, TOPICS, takes
from sidecar.cli.progress import Pace, progress, working
from sidecar.cli.rankers import ON_RAY, RAY, RAY_ADDRESS, RAY_CPUS, RAY_GPUS, RAY_WORKERS, chosen_cluster
from sidecar.cli.terminal import say
from sidecar.core.errors import ConfigurationError
from sidecar.experiments.candidate_files import read_candidates
from sidecar.experiments.run_files import RunFormat
from sidecar.experiments.shards import WHOLE
from sidecar.settings import Settings

RUN_PANEL = "Instead of CANDIDATES"


@command("rerank", example="sidecar rerank candidates.jsonl --output reranked.jsonl")
@takes("window", "min_relevance", "score_file", *MODEL, *FUSION, *LISTWISE, *FIELDS, conditions=(TAG, *ON_RAY))
def rerank_command(
    output: Annotated[
        Path, typer.Option(dir_okay=False, help="File to write; OUTPUT.manifest.json is written beside it.")
    ],
    candidates: Annotated[
        Path | None, typer.Argument(help="Candidate lists with texts, or files of one pair a line such as top1000.dev.")
    ] = None,
    output_format: Annotated[RunFormat, typer.Option("--format", help="Format of the output.")] = RunFormat.JSONL,
    tag: Annotated[
        str, typer.Option(help="Name of the run, in the last column of the TREC format.")
    ] = "rerank-sidecar",
    run: Annotated[
        Path | None, typer.Option(help="Run of the first stage, in TREC or MS MARCO format.", rich_help_panel=RUN_PANEL)
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(
            help="Documents of the run: JSON, docid<TAB>text lines, or a folder.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(help=f"Queries of the run: {TOPICS}.", rich_help_panel=RUN_PANEL),
    ] = None,
    *,
    shard: Annotated[str | None, SHARD] = None,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Accept documents that the corpus does not have.", rich_help_panel=RUN_PANEL
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing output, and discard an unfinished run that differs.")
    ] = False,
    remove_query: Annotated[
        bool, typer.Option("--remove-query", help="Remove candidates that have the id of the query, as for ArguAna.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was interrupted.")] = False,
    ray: Annotated[bool, RAY] = False,
    ray_address: Annotated[str | None, RAY_ADDRESS] = None,
    ray_workers: Annotated[int | None, RAY_WORKERS] = None,
    ray_cpus: Annotated[float | None, RAY_CPUS] = None,
    ray_gpus: Annotated[float | None, RAY_GPUS] = None,
    settings: Settings,
) -> None:
    """Rerank candidate lists, or a run with its corpus and queries.

    The first --window candidates of a query are reranked; the others follow in first-stage order, or are left out with
    --min-relevance.
    """
    part = chosen_shard(shard)
    cluster = chosen_cluster(ray, ray_address, ray_workers, ray_cpus, ray_gpus)
    keep_finished(output, force=force, resume=resume, shard=part)
    files = _files(candidates, {"run": run, "queries": queries, "corpus": corpus}, allow_missing)
    keep_inputs(output, files.values())
    switches = {
        "allow_missing": allow_missing,
        "remove_query": remove_query,
        **threshold(settings),
        **stage_two_identity(settings),
    }
    own = identity(settings, files, output_format, (), **switches)
    about = {name: str(path) for name, path in files.items()}
    reranking = LongRun(
        *("rerank", output, output_format, tag, settings, own, about, resume, remove_query, part, force, cluster),
        min_relevance=settings.min_relevance,
        stage_two=True,
    )
    if candidates:
        summary = reranking.finish(lambda: _lists(candidates, reranking))
    else:
        # Texts beyond the window are needed only for an output that holds texts.
        depth = None if output_format is RunFormat.JSONL else settings.window + remove_query
        summary = reranking.finish(lambda: _gather(files, reranking, depth, allow_missing))
    say(f"{summary} → {reranking.target}")


def _files(candidates: Path | None, parts: dict[str, Path | None], allow_missing: bool) -> dict[str, Path]:
    """Return the input files by role. Raises `ConfigurationError` unless they are candidates, or a run with files."""
    given = {name: path for name, path in parts.items() if path is not None}
    if candidates is not None:
        stray = [f"--{name}" for name in given] + (["--allow-missing"] if allow_missing else [])
        if stray:
            raise ConfigurationError(
                f"a candidate file has its texts, and takes no {', '.join(stray)}.",
                remedy="Give either CANDIDATES or --run, --queries and --corpus.",
            )
        return {"input": candidates}
    lacking = [f"--{name}" for name in parts if name not in given]
    if lacking:
        what = f"{', '.join(lacking)} is missing" if given else "there is nothing to rerank"
        raise ConfigurationError(f"{what}.", remedy="Give CANDIDATES, or --run, --queries and --corpus together.")
    return given


def _lists(candidates: Path, run: LongRun) -> RunInputs:
    fields = run.settings.as_fields()
    # The whole file is checked before the first pair is scored: a typo in the last line costs no hour.
    with working(f"checking {candidates}"):
        queries = sum(1 for _ in run.demands.check(read_candidates(candidates, fields)))
    part = run.shard or WHOLE
    return RunInputs(queries, lambda _: part.of(read_candidates(candidates, fields)))


def _gather(files: dict[str, Path], run: LongRun, depth: int | None, allow_missing: bool) -> RunInputs:
    from sidecar.experiments.run_candidates import RunCandidates, Sources

    pace = Pace("documents")
    with progress("looking up texts", pace) as meter:
        found = RunCandidates(
            Sources(**files),
            depth=depth,
            shard=run.shard or WHOLE,
            allow_missing=allow_missing,
            progress=meter.reach,
        )
    lacking = f", {found.missing} of them missing" if found.missing else ""
    say(f"{len(found)} queries, {found.documents} documents{lacking}, looked up in {pace.seconds:.1f} s")
    return RunInputs(len(found), lambda done: found.lists(run.settings.as_fields(), leave_out=done))
