"""`sidecar compare`: show how two runs differ, without judgements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import RenderableType
from rich.markup import escape
from rich.text import Text

from sidecar.cli.app import command
from sidecar.cli.options import FIELDS, TOPICS, takes
from sidecar.cli.progress import working
from sidecar.cli.terminal import plain_table, print_results, result_console, say
from sidecar.core.errors import ConfigurationError
from sidecar.settings import Settings

if TYPE_CHECKING:
    from sidecar.experiments.overlap import Moved, Overlap


@dataclass(frozen=True, slots=True)
class Sides:
    """Two runs: their names, the docids of each query best first, and the texts that are known."""

    names: tuple[str, str]
    first: Mapping[str, Sequence[str]]
    second: Mapping[str, Sequence[str]]
    queries: Mapping[str, str] = field(default_factory=dict)
    passages: dict[str, str] = field(default_factory=dict)


@command("compare", example="sidecar compare run.trec.first-stage run.trec --topics queries.tsv --corpus corpus.jsonl")
@takes(*FIELDS)
def compare_command(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Two runs: TREC, MS MARCO or candidate lists (which have texts).")
    ] = None,
    shadow_log: Annotated[
        Path | None, typer.Option(help="Shadow log of `sidecar serve` in place of two runs: its first ten hits.")
    ] = None,
    topics: Annotated[Path | None, typer.Option(help=f"Texts of the queries: {TOPICS}.")] = None,
    corpus: Annotated[
        list[Path] | None, typer.Option(help="Texts of the documents that no candidate list holds. May be repeated.")
    ] = None,
    depth: Annotated[int, typer.Option(min=1, max=1000, help="Depth of the tops that are compared.")] = 10,
    persistence: Annotated[float, typer.Option(help="p of rank-biased overlap; 0.9 weighs about ten hits.")] = 0.9,
    show: Annotated[int, typer.Option(min=0, help="Queries to show side by side, those that differ most first.")] = 3,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every query.")] = False,
    settings: Settings,
) -> None:
    """Show how two runs differ, without judgements: overlap, the queries that change most, and their hits side by side.

    The first run is what there is, the second what would replace it.
    """
    from sidecar.experiments.overlap import overlaps, pair

    sides = _sides(runs or [], shadow_log, topics)
    pairing = pair(sides.first, sides.second)
    if not pairing.both:
        raise ConfigurationError(
            f"{sides.names[0]} and {sides.names[1]} have no query in common.",
            remedy="Give two runs of the same queries.",
        )
    found = overlaps(sides.first, sides.second, p=persistence, depth=depth)
    if alone := pairing.words(*sides.names):
        say(f"{alone}.")
    shown = found if as_json else found[:show]
    _look_up(sides, shown, depth, runs or [], corpus or [], settings)
    if as_json:
        typer.echo(
            msgspec.json.format(msgspec.json.encode(_report(sides, found, depth, persistence)), indent=2).decode()
        )
        return
    print_results(*_summary(sides, found, depth, persistence))
    for one in shown:
        print_results(*_side_by_side(sides, one, depth))


def _sides(runs: Sequence[Path], shadow_log: Path | None, topics: Path | None) -> Sides:
    if (shadow_log is None) != (len(runs) == 2) or (shadow_log is not None and runs):
        raise ConfigurationError(
            f"{len(runs)} runs{' and a shadow log' if shadow_log else ''} can't be compared.",
            remedy="Give two runs, or --shadow-log alone.",
        )
    if shadow_log is not None:
        return _shadow_sides(shadow_log, topics)
    from sidecar.report.examples import read_texts
    from sidecar.report.run_lists import load_runs

    with working("reading the runs"):
        first, second = load_runs(runs)
        queries = read_texts([first, second], topics, ()).queries
    for one in (first, second):
        if words := one.irregular.words():
            say(f"{one.name}: {words}.")
    return Sides((first.name, second.name), first.order, second.order, queries)


def _shadow_sides(path: Path, topics: Path | None) -> Sides:
    from sidecar.experiments.shadow_reading import read_shadow_log

    if topics is not None:
        raise ConfigurationError(
            "--topics has no effect with --shadow-log, whose queries have ids of their own.",
            remedy="With SIDECAR_SHADOW_QUERIES the log holds the queries.",
        )
    with working(f"reading {path}"):
        found = read_shadow_log(path)
    if found.repeated:
        say(f"{found.repeated} records of searches that occur again later are left out.")
    if found.not_reranked:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in found.not_reranked.most_common())
        say(f"{found.not_reranked.total()} searches were not reranked: {reasons}.")
    return Sides(("first stage", "reranked"), found.first_stage, found.reranked, found.queries)


def _look_up(
    sides: Sides,
    shown: Sequence[Overlap],
    depth: int,
    runs: Sequence[Path],
    corpora: Sequence[Path],
    settings: Settings,
) -> None:
    """Find the texts of the documents that are shown: in candidate lists, then in the corpora."""
    from sidecar.report.examples import Texts
    from sidecar.report.run_lists import load_runs

    wanted = {docid for one in shown for run in (sides.first, sides.second) for docid in run[one.qid][:depth]}
    texts = Texts(sides.queries, corpora, sides.passages)
    with working("looking up texts"):
        texts.look_up(wanted, load_runs(runs), settings.as_fields())


def _summary(sides: Sides, found: Sequence[Overlap], depth: int, persistence: float) -> list[RenderableType]:
    first, second = (escape(name) for name in sides.names)
    same = sum(sides.first[one.qid][:1] == sides.second[one.qid][:1] for one in found)
    alike = sum(one.jaccard == 1 for one in found)
    return [
        f"[bold]{first}[/] → [bold]{second}[/], {len(found)} queries",
        f"  rank-biased overlap (p {persistence:g})      {_mean([one.rbo for one in found]):.4f}",
        f"  Jaccard at {depth:<3}                     {_mean([one.jaccard for one in found]):.4f}",
        f"  documents kept in the first {depth:<3}    {_mean([one.kept for one in found]):.2f}",
        f"  queries with the same first hit    {same} of {len(found)}",
        f"  queries with the same first {depth:<3}    {alike} of {len(found)}, in any order",
    ]


def _side_by_side(sides: Sides, one: Overlap, depth: int) -> list[RenderableType]:
    from sidecar.experiments.overlap import moves

    before, after = sides.first[one.qid], sides.second[one.qid]
    text = sides.queries.get(one.qid, "")
    head = f"\n[bold]{escape(one.qid)}[/]  {escape(text)}\n[dim]overlap {one.rbo:.4f}, {one.kept} of {depth} kept[/]"
    console = result_console()
    # In a terminal the texts get what the other columns leave; in a pipe they are whole.
    table = plain_table("", *map(escape, sides.names), "move", right=("", "move"))
    table.add_column("read", overflow="ellipsis", no_wrap=True)
    ranked = {move.docid: move for move in moves(before, after, depth)}
    for rank in range(1, min(depth, max(len(before), len(after))) + 1):
        docid = after[rank - 1] if rank <= len(after) else ""
        left = before[rank - 1] if rank <= len(before) else ""
        move = _words(ranked[docid]) if docid else ""
        table.add_row(str(rank), escape(left), escape(docid), move, Text(sides.passages.get(docid, "")))
    lines: list[RenderableType] = [head, table]
    for lost in [one for one in ranked.values() if (one.after or depth + 1) > depth]:
        where = "not in the list any more" if lost.after is None else f"now {lost.after}"
        told = f"  left: {lost.docid}, was {lost.before}, {where}  {sides.passages.get(lost.docid, '')}"
        line = Text(told.rstrip(), style="dim")
        line.truncate(console.width, overflow="ellipsis")
        lines.append(line)
    return lines


def _words(move: Moved) -> str:
    if move.before is None or move.after is None:
        return "[green]new[/]"
    places = move.before - move.after
    return f"[green]↑{places}[/]" if places > 0 else f"[red]↓{-places}[/]" if places else "="


def _report(sides: Sides, found: Sequence[Overlap], depth: int, persistence: float) -> dict[str, Any]:
    from sidecar.experiments.overlap import moves, pair

    pairing = pair(sides.first, sides.second)
    queries = [
        {
            "qid": one.qid,
            "query": sides.queries.get(one.qid),
            "rbo": one.rbo,
            "jaccard": one.jaccard,
            "kept": one.kept,
            "moves": [
                {
                    "docid": move.docid,
                    "before": move.before,
                    "after": move.after,
                    "read": sides.passages.get(move.docid),
                }
                for move in moves(sides.first[one.qid], sides.second[one.qid], depth)
            ],
        }
        for one in found
    ]
    return {
        "first": sides.names[0],
        "second": sides.names[1],
        "depth": depth,
        "persistence": persistence,
        "rbo": _mean([one.rbo for one in found]),
        "jaccard": _mean([one.jaccard for one in found]),
        "only_in_first": pairing.first,
        "only_in_second": pairing.second,
        "queries": queries,
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
