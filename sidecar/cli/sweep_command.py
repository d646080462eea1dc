"""`sidecar sweep`: try first stages, models, windows, fusions and generators, and choose one by judged queries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from sidecar.cli.app import command
from sidecar.cli.effects import Condition, SearchEngine
from sidecar.cli.options import FIELDS, MODEL, OPENSEARCH, PYSERINI, TOPICS, takes
from sidecar.cli.terminal import plain_table, print_results, say
from sidecar.core.errors import ConfigurationError
from sidecar.settings import Settings

if TYPE_CHECKING:
    from sidecar.experiments.evaluate import Comparison
    from sidecar.experiments.sweep_points import Measured, SweepResult

PANEL = "Instead of PLAN"
_SEARCHES = Condition(
    ("opensearch_url", *OPENSEARCH, *PYSERINI),
    lambda mode: mode.index is not None or mode.plan is not None,
    "no index is searched",
)


def _given(words: str) -> Any:
    return typer.Option(help=words, rich_help_panel=PANEL)


@command("sweep", example="sidecar sweep --topics queries.tsv --index indexes/docs --qrels qrels.txt --output sweep")
@takes(
    "score_file",
    *(name for name in MODEL if name != "model"),
    *FIELDS,
    *PYSERINI,
    *OPENSEARCH,
    conditions=[_SEARCHES],
    opensearch_url="--url",
)
def sweep_command(
    output: Annotated[Path, typer.Option(file_okay=False, help="Folder for the results, candidates and scores.")],
    plan: Annotated[
        Path | None, typer.Argument(help="TOML file of the sweep (docs/SWEEP.md); or give the options below.")
    ] = None,
    topics: Annotated[Path | None, _given(f"Queries: {TOPICS}.")] = None,
    qrels: Annotated[Path | None, _given("Relevance judgements: a TREC or BEIR file, or a name.")] = None,
    index: Annotated[str | None, _given("Lucene or OpenSearch index of the first stage.")] = None,
    stage_engine: Annotated[
        SearchEngine | None, typer.Option("--engine", help="Engine of the index.", rich_help_panel=PANEL)
    ] = None,
    candidates: Annotated[Path | None, _given("Candidate file in place of an index.")] = None,
    k1: Annotated[str | None, _given("Values of BM25's k1, with commas between.")] = None,
    b: Annotated[str | None, _given("Values of BM25's b.")] = None,
    rm3: Annotated[str | None, _given("Whether RM3 expands the queries: false, true, or false,true.")] = None,
    models: Annotated[str | None, _given("Models. Unset: the model of the settings.")] = None,
    windows: Annotated[str | None, _given("Windows. Unset: the window of the settings.")] = None,
    fusions: Annotated[str | None, _given("Fusions. Unset: those of docs/SWEEP.md.")] = None,
    normalizations: Annotated[str | None, _given("Normalisations of the fusions that take one.")] = None,
    weights: Annotated[str | None, _given("Weights of the fusions that take one.")] = None,
    listwise: Annotated[str | None, _given("Generator of stage two, tried beside none. Unset: none.")] = None,
    listwise_depths: Annotated[str | None, _given("Depths of stage two. Unset: the setting's.")] = None,
    hits: Annotated[int | None, _given("Hits of a first stage for each query. Unset: 100.")] = None,
    measure: Annotated[str | None, _given("Measure, by its name in ir-measures. Unset: nDCG@10.")] = None,
    choose_on: Annotated[Path | None, _given("Queries to choose by: topics, or one id a line.")] = None,
    fraction: Annotated[float | None, _given("Fraction of the queries to choose by. Unset: 0.5.")] = None,
    seed: Annotated[int | None, _given("Seed of that fraction. Unset: 0.")] = None,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads for the first stage.")] = 1,
    show: Annotated[int, typer.Option(min=1, help="Points to show; the files have all.")] = 10,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a sweep; with --resume only what was made from other inputs.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the sweep in the folder, or extend it.")] = False,
    settings: Settings,
) -> None:
    """Try first stages, models, windows, fusions and generators, and choose the best by some of the judged queries.

    Each first stage runs once, each pair is scored once, and a generator is asked once for each order of passages. The
    other queries show what the choice is worth, by a paired t-test against its first stage.
    """
    from sidecar.cli.sweep_run import Sweep
    from sidecar.cli.sweep_stages import SweepFolder
    from sidecar.experiments.sweep_plan import parse_plan, read_plan

    stage = {"index": index, "engine": stage_engine, "candidates": candidates, "k1": k1, "b": b, "rm3": rm3}
    fusion = {"method": fusions, "normalization": normalizations, "weight": weights}
    choose = {"on": choose_on, "fraction": fraction, "seed": seed}
    generator = {"listwise_model": listwise, "listwise_depth": listwise_depths}
    own = {"topics": topics, "qrels": qrels, "models": models, "windows": windows, "hits": hits, "measure": measure}
    flags = _plan(own, stage, fusion, generator, choose)
    if plan is not None and flags != {}:
        raise ConfigurationError(
            f"{plan} is the whole plan; it takes no option for {', '.join(flags)}.",
            remedy="Write it into the file, or leave out the file.",
        )
    found = read_plan(plan) if plan is not None else parse_plan(flags, "the options")
    _print(Sweep(found, settings, SweepFolder(output, resume, force), threads).run(), show)
    say(f"→ {output}/sweep.csv, sweep.json, best.trec, and best.toml: SIDECAR_CONFIG={output}/best.toml sidecar …")


def _plan(
    own: Mapping[str, Any],
    stage: Mapping[str, Any],
    fusion: Mapping[str, Any],
    generator: Mapping[str, Any],
    choose: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the options as the TOML file would have them; empty if none was given."""
    found = _listed(own, {"models", "windows"})
    if table := _listed(stage, {"k1", "b", "rm3"}):
        found["first_stage"] = [table]
    if table := _listed(generator, {"listwise_depth"}):
        found["listwise"] = [table]
    if table := _listed(choose, set()):
        found["choose"] = table
    if table := _listed(fusion, {"method", "normalization", "weight"}):
        found["fusion"] = _tables(table)
    return found


def _tables(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a table for each fusion, with the values that it takes. Raises `ConfigurationError` for idle ones."""
    from sidecar.experiments.sweep_plan import fusions_taking

    methods = values.pop("method", [])
    for name in values:
        if not set(methods) & fusions_taking(name):
            raise ConfigurationError(
                f"--{name}s has no effect here: none of the fusions takes one.",
                remedy=f"Name one in --fusions: {', '.join(sorted(fusions_taking(name)))}.",
            )
    return [{"method": one, **{n: v for n, v in values.items() if one in fusions_taking(n)}} for one in methods]


def _listed(values: Mapping[str, Any], lists: set[str]) -> dict[str, Any]:
    given = {name: value for name, value in values.items() if value is not None}
    return {
        name: [part.strip() for part in value.split(",")] if name in lists else value for name, value in given.items()
    }


def _print(result: SweepResult, show: int) -> None:
    from sidecar.experiments.sweep_points import words_of

    counts = f"choose ({len(result.split.choose)})", f"report ({len(result.split.report)})"
    second = ("stage two",) if any(one.point.listwise for one in result.points) else ()
    table = plain_table("first stage", "model", "window", "fusion", *second, *counts, right=("window", *counts))
    best = sorted(result.points, key=lambda one: -one.choose)[:show]
    for one in [*best, *result.first_stages]:
        told = "–" if one.point.fusion is None else words_of(one.point.fusion)
        _row(table, one, told, *(one.point.listwise or "–" for _ in second))
    choice, best_there = result.choice, result.choice.best.report
    lines = [
        f"  {best_there:.4f}; first stage {choice.first_stage.report:.4f}, {_versus(choice.against_first_stage)}",
        f"  {best_there:.4f}; model alone {choice.model_alone.report:.4f}, {_versus(choice.against_model_alone)}",
    ]
    if choice.stage_one is not None and choice.against_stage_one is not None:
        against = _versus(choice.against_stage_one)
        lines.append(f"  {best_there:.4f}; without stage two {choice.stage_one.report:.4f}, {against}")
    print_results(
        f"[bold]{escape(result.measure)}[/], chosen on {escape(result.split.about)}; "
        f"{len(best)} of {len(result.points)} points, then the first stages alone",
        table,
        f"\nThe first row is chosen. On the {len(result.split.report)} queries that it was not chosen by:",
        *lines,
    )
    if choice.best.choose <= choice.first_stage.choose:
        say("no point is better than its first stage on the queries to choose by: reranking does not help here.")


def _row(table: Table, one: Measured, *words: str) -> None:
    point = one.point
    table.add_row(
        escape(point.stage),
        escape(point.model or "–"),
        str(point.window or "–"),
        *map(escape, words),
        f"{one.choose:.4f}",
        f"{one.report:.4f}",
    )


def _versus(found: Comparison) -> str:
    p = "p < 0.001" if found.p < 0.001 else f"p {found.p:.3f}"
    return f"{found.difference:+.4f} ({p}), {found.wins} won, {found.ties} tied, {found.losses} lost"
