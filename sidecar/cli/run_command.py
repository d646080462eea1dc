"""`sidecar run`: topics in, a reranked run of an index out, with the first stage's run and a manifest beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sidecar.cli.app import app
from sidecar.cli.effects import SearchEngine, in_effect
from sidecar.cli.factories import identity, say
from sidecar.cli.first_stages import SEARCHED, open_stage
from sidecar.cli.long_run import TAG, LongRun, RunInputs, keep_finished
from sidecar.cli.options import BM25, FIELDS, FUSION, MODEL, OPENSEARCH, PYSERINI, RM3, TOPICS, takes
from sidecar.experiments.run_files import RunFormat
from sidecar.settings import Settings


@app.command("run")
@takes(
    "window",
    "score_file",
    *MODEL,
    *FUSION,
    *BM25,
    *RM3,
    *FIELDS,
    *PYSERINI,
    *OPENSEARCH,
    conditions=(*SEARCHED, TAG),
    opensearch_url="--url",
)
def run_command(
    topics: Annotated[Path, typer.Option(help=f"Queries: {TOPICS}.")],
    index: Annotated[str, typer.Option(help="Lucene index (directory, prebuilt or server's name), or OpenSearch one.")],
    output: Annotated[
        Path, typer.Option(dir_okay=False, help="Run to write; .first-stage and .manifest.json appear beside it.")
    ],
    engine: Annotated[
        SearchEngine, typer.Option(help="Which engine holds the index; unset: OpenSearch with a URL, else Lucene.")
    ],
    output_format: Annotated[RunFormat, typer.Option("--output-format", help="What to write.")] = RunFormat.TREC,
    hits: Annotated[int, typer.Option(min=1, max=10_000, help="Depth of the first stage, for each query.")] = 1000,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads of the first stage.")] = 1,
    tag: Annotated[str, typer.Option(help="Name of the run in TREC's last column.")] = "rerank-sidecar",
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace what a finished run left there.")] = False,
    remove_query: Annotated[
        bool, typer.Option("--remove-query", help="Take hits out whose id is the query's own, as for ArguAna.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was cut off.")] = False,
    settings: Settings,
) -> None:
    """Retrieve, rerank, fuse and write a run; what lies beyond the window follows in first-stage order."""
    from sidecar.experiments.topics import read_topics

    beside = output.with_name(f"{output.name}.first-stage")
    keep_finished(output, beside, force=force, resume=resume)
    total = sum(1 for _ in read_topics(topics))
    # One more is fetched where one may be taken out.
    with open_stage(engine, index, settings, hits=hits + remove_query, threads=threads) as stage:
        names = in_effect(BM25 + RM3, settings, SEARCHED, engine=engine)
        switches = {"hits": hits, "remove_query": remove_query}
        own = identity(settings, {"input": topics}, output_format, names, **switches, **stage.identity)
        about = {**stage.about, **switches}
        run = LongRun("run", output, output_format, tag, settings, own, about, resume, remove_query)
        work = RunInputs(
            total,
            lambda done: stage.lists(topic for topic in read_topics(topics) if topic[0] not in done),
            hits=hits,
        )
        summary = run.finish(lambda: work, first_stage_output=beside)
    say(f"{summary} → {output}, first stage → {beside}")
