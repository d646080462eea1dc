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
from sidecar.cli.parts import build_reranker, identity, kept, progress
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
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was cut off.")] = False,
    settings: Settings,
) -> None:
    """Rerank every query of a candidate file."""
    from sidecar.experiments.candidate_files import CandidateList, read_candidates
    from sidecar.experiments.journal import Journal
    from sidecar.experiments.publish import publish
    from sidecar.experiments.run_files import candidate_list, run_hits

    def read() -> Iterator[CandidateList]:
        return read_candidates(candidates, settings.as_fields())

    # The whole file is checked before the first pair is scored: a typo in the last line costs no hour.
    queries = sum(1 for _ in read())
    started, scored, unscored = perf_counter(), 0, 0
    with kept(Journal(output, identity(settings, candidates, output_format), resume=resume)) as journal:
        reranker = build_reranker(settings, remember=False)
        with progress("queries") as bar:
            task = bar.add_task("reranking", total=queries, completed=len(journal.done))
            for found in read():
                if found.qid in journal.done:
                    continue
                ranking = reranker.rank(found.query, found.candidates)
                docs = found.docs if output_format is RunFormat.JSONL else None
                journal.add(found.qid, candidate_list(found.qid, found.query, run_hits(ranking, docs)))
                scored, unscored = scored + ranking.scored, unscored + ranking.unscored
                bar.advance(task)
        publish(journal, output, output_format, tag)
    seconds = perf_counter() - started
    console = Console(stderr=True, highlight=False)
    console.print(
        f"{queries} queries, {scored} passages scored in {seconds:.1f} s ({scored / seconds:.0f}/s) → {output}"
    )
    if unscored:
        console.print(f"{unscored} candidates without text were not scored; they follow the scored ones.")
