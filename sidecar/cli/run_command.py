"""`sidecar run`: topics in, a reranked run of a Lucene index out, with the first stage's run beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console

from sidecar.cli.app import app
from sidecar.cli.options import BM25, FIELDS, FUSION, MODEL, PYSERINI, RM3, takes
from sidecar.cli.parts import build_reranker, identity, kept, open_lucene, progress
from sidecar.experiments.run_files import RunFormat, RunHit, candidate_list
from sidecar.settings import Settings

if TYPE_CHECKING:
    from connectors.pyserini.hits import RerankedHit

# Queries whose hits wait in memory, with their text, to be reranked one by one.
ROUND = 32


@app.command("run")
@takes("window", *MODEL, *FUSION, *BM25, *RM3, *FIELDS, *PYSERINI)
def run_command(
    topics: Annotated[Path, typer.Option(help="Queries: qid<TAB>text lines, or JSON lines with _id and text.")],
    index: Annotated[str, typer.Option(help="Lucene index: directory, prebuilt name, or server's name.")],
    output: Annotated[Path, typer.Option(help="Run to write; OUTPUT.first-stage appears beside it.")],
    output_format: Annotated[RunFormat, typer.Option("--output-format", help="What to write.")] = RunFormat.TREC,
    hits: Annotated[int, typer.Option(min=1, max=10_000, help="Depth of the first stage, for each query.")] = 1000,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads of the first stage.")] = 1,
    tag: Annotated[str, typer.Option(help="Name of the run in TREC's last column.")] = "rerank-sidecar",
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was cut off.")] = False,
    settings: Settings,
) -> None:
    """Retrieve, rerank, fuse and write a run; what lies beyond the window follows in first-stage order."""
    from connectors.pyserini import LuceneRequest, PyseriniConnector
    from sidecar.experiments.journal import Journal
    from sidecar.experiments.publish import publish
    from sidecar.experiments.topics import read_topics

    total = sum(1 for _ in read_topics(topics))
    started = perf_counter()
    beside = output.with_name(f"{output.name}.first-stage")
    with open_lucene(index, settings) as searcher:
        own = identity(settings, topics, output_format, index=searcher.source, hits=hits)
        connector = PyseriniConnector(searcher, settings.as_fields())
        with kept(Journal(output, own, resume=resume)) as journal:
            reranker = build_reranker(settings, remember=False)
            with progress("queries") as bar:
                task = bar.add_task("running", total=total, completed=len(journal.done))
                waiting = ((qid, text) for qid, text in read_topics(topics) if qid not in journal.done)
                for some in _rounds(waiting):
                    requests = {qid: LuceneRequest(text, hits, settings.window) for qid, text in some}
                    for qid, found in connector.fetch_batch(requests, threads).items():
                        answer = connector.respond(found, reranker.rank(found.query, found.candidates))
                        journal.add(qid, candidate_list(qid, found.query, _run_hits(answer, output_format)))
                        bar.advance(task)
            publish(journal, output, output_format, tag, first_stage_output=beside)
    Console(stderr=True, highlight=False).print(
        f"{total} queries in {perf_counter() - started:.1f} s → {output}, first stage → {beside}", soft_wrap=True
    )


def _rounds(topics: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    while some := list(islice(topics, ROUND)):
        yield some


def _run_hits(answer: Sequence[RerankedHit], output_format: RunFormat) -> list[RunHit]:
    return [
        RunHit(
            docid=hit.docid,
            score=hit.score,
            rerank_score=hit.rerank_score,
            first_stage_score=hit.first_stage_score,
            first_stage_rank=hit.first_stage_rank,
            doc=_document(hit.raw) if output_format is RunFormat.JSONL else msgspec.UNSET,
        )
        for hit in answer
    ]


def _document(raw: str | None) -> msgspec.Raw:
    """The stored document as JSON: itself if it is an object, else as a string."""
    from sidecar.documents import json_object

    stored = raw if raw is not None and json_object(raw) is not None else msgspec.json.encode(raw).decode()
    return msgspec.Raw(" ".join(stored.splitlines()).encode("utf-8", "replace"))
