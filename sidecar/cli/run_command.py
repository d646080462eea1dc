"""`sidecar run`: search and rerank for many topics, and write the run, the run of the first stage and a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sidecar.cli.app import command
from sidecar.cli.effects import SearchEngine, in_effect
from sidecar.cli.factories import identity, stage_two_identity, threshold
from sidecar.cli.first_stages import BODY, SEARCHED, open_stage
from sidecar.cli.long_run import SHARD, TAG, LongRun, RunInputs, chosen_shard, keep_finished, keep_inputs
from sidecar.cli.options import BM25, FIELDS, FUSION, LISTWISE, MODEL, OPENSEARCH, PYSERINI, RM3, TOPICS, takes
from sidecar.cli.progress import working
from sidecar.cli.rankers import ON_RAY, RAY, RAY_ADDRESS, RAY_CPUS, RAY_GPUS, RAY_WORKERS, chosen_cluster
from sidecar.cli.terminal import say
from sidecar.experiments.run_files import RunFormat
from sidecar.experiments.shards import WHOLE
from sidecar.settings import Settings


@command("run", example="sidecar run --topics queries.tsv --index indexes/docs --output run.trec")
@takes(
    "window",
    "min_relevance",
    "score_file",
    *MODEL,
    *FUSION,
    *LISTWISE,
    *BM25,
    *RM3,
    *FIELDS,
    *PYSERINI,
    *OPENSEARCH,
    conditions=(*SEARCHED, BODY, TAG, *ON_RAY),
    opensearch_url="--url",
)
def run_command(
    topics: Annotated[Path, typer.Option(help=f"Queries: {TOPICS}.")],
    index: Annotated[str, typer.Option(help="Directory or name of a Lucene index, or name of an OpenSearch index.")],
    output: Annotated[
        Path,
        typer.Option(
            dir_okay=False, help="Run to write; OUTPUT.first-stage and OUTPUT.manifest.json are written beside it."
        ),
    ],
    engine: Annotated[
        SearchEngine, typer.Option(help="Engine of the index. Unset: OpenSearch if --url is set, else Lucene.")
    ],
    body: Annotated[
        Path | None, typer.Option(help='Search body for OpenSearch, with "{{query}}" in place of the query.')
    ] = None,
    output_format: Annotated[RunFormat, typer.Option("--output-format", help="Format of the output.")] = RunFormat.TREC,
    hits: Annotated[int, typer.Option(min=1, max=10_000, help="Hits of the first stage for each query.")] = 1000,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads for the first stage.")] = 1,
    tag: Annotated[
        str, typer.Option(help="Name of the run, in the last column of the TREC format.")
    ] = "rerank-sidecar",
    *,
    shard: Annotated[str | None, SHARD] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing output, and discard an unfinished run that differs.")
    ] = False,
    remove_query: Annotated[
        bool, typer.Option("--remove-query", help="Remove hits that have the id of the query, as for ArguAna.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was interrupted.")] = False,
    ray: Annotated[bool, RAY] = False,
    ray_address: Annotated[str | None, RAY_ADDRESS] = None,
    ray_workers: Annotated[int | None, RAY_WORKERS] = None,
    ray_cpus: Annotated[float | None, RAY_CPUS] = None,
    ray_gpus: Annotated[float | None, RAY_GPUS] = None,
    settings: Settings,
) -> None:
    """Search an index for many queries, rerank the hits and write a run.

    The first --window hits of a query are reranked; the others follow in first-stage order, or are left out with
    --min-relevance.
    """
    from sidecar.experiments.topics import read_topics

    beside = output.with_name(f"{output.name}.first-stage")
    part = chosen_shard(shard)
    cluster = chosen_cluster(ray, ray_address, ray_workers, ray_cpus, ray_gpus)
    keep_finished(output, beside, force=force, resume=resume, shard=part)
    keep_inputs(output, [topics, *([body] if body else [])])
    with working(f"reading {topics}"):
        total = sum(1 for _ in read_topics(topics))
    # One more hit is fetched if one may be removed.
    with open_stage(engine, index, settings, hits=hits + remove_query, threads=threads, body=body) as stage:
        names = in_effect(BM25 + RM3, settings, SEARCHED, engine=engine)
        sources = {"input": topics} | ({} if body is None else {"body": body})
        switches = {"hits": hits, "remove_query": remove_query, **threshold(settings), **stage_two_identity(settings)}
        own = identity(settings, sources, output_format, names, **switches, **stage.identity)
        about = {**stage.about, **switches}
        run = LongRun(
            *("run", output, output_format, tag, settings, own, about, resume, remove_query, part, force, cluster),
            min_relevance=settings.min_relevance,
            stage_two=True,
        )
        work = RunInputs(
            total,
            lambda done: stage.lists(
                topic for topic in (part or WHOLE).of(read_topics(topics)) if topic[0] not in done
            ),
            hits=hits,
        )
        summary = run.finish(lambda: work, first_stage_output=beside)
    say(f"{summary} → {run.target}" if part else f"{summary} → {output}, first stage → {beside}")
