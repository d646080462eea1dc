"""`sidecar rerank`: a candidate file in, a reranked run out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console

from sidecar.cli.app import app
from sidecar.cli.options import FIELDS, FUSION, MODEL, takes
from sidecar.cli.parts import build_reranker, progress
from sidecar.experiments.run_files import RunFormat
from sidecar.settings import Settings


@app.command("rerank")
@takes(*MODEL, *FUSION, *FIELDS)
def rerank_command(
    candidates: Annotated[Path, typer.Argument(help="Candidate lists, .jsonl or .jsonl.gz.")],
    output: Annotated[Path, typer.Option(help="File to write; it appears when the work is done.")],
    output_format: Annotated[RunFormat, typer.Option("--format", help="What to write.")] = RunFormat.JSONL,
    tag: Annotated[str, typer.Option(help="Name of the run in TREC's last column.")] = "rerank-sidecar",
    *,
    settings: Settings,
) -> None:
    """Rerank every query of a candidate file."""
    from sidecar.experiments.candidate_files import CandidateList, read_candidates
    from sidecar.experiments.run_files import RunWriter
    from sidecar.whole_file import whole_file

    def read() -> Iterator[CandidateList]:
        return read_candidates(candidates, settings.as_fields())

    # The whole file is checked before the first pair is scored: a typo in the last line costs no hour.
    queries = sum(1 for _ in read())
    reranker = build_reranker(settings)
    started, scored, unscored = perf_counter(), 0, 0
    with whole_file(output) as stream, progress("queries") as bar:
        writer, task = RunWriter(stream, output_format, tag), bar.add_task("reranking", total=queries)
        for found in read():
            ranking = reranker.rank(found.query, found.candidates)
            writer.write(found.qid, ranking, found.docs)
            scored, unscored = scored + ranking.scored, unscored + ranking.unscored
            bar.advance(task)
    seconds = perf_counter() - started
    console = Console(stderr=True, highlight=False)
    console.print(
        f"{queries} queries, {scored} passages scored in {seconds:.1f} s ({scored / seconds:.0f}/s) → {output}"
    )
    if unscored:
        console.print(f"{unscored} candidates without text were not scored; they follow the scored ones.")
