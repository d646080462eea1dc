"""`sidecar demo`: index, search and rerank the documentation of the installed Python, which every machine has."""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from sidecar.cli.app import command
from sidecar.cli.demo_page import show_page
from sidecar.cli.factories import build_reranker
from sidecar.cli.options import BM25, FUSION, MODEL, takes
from sidecar.cli.progress import working
from sidecar.cli.tables import first_stage_and_reranked, label
from sidecar.cli.terminal import NARROW, print_results, result_console
from sidecar.reranker import Reranker
from sidecar.settings import Settings

if TYPE_CHECKING:
    from connectors.pyserini.connector import PyseriniConnector

QUESTIONS = (
    "start a function some seconds later",
    "ask for a password without showing what is typed",
    "show a web page to the user",
)
SHOWN = 5

# Commands to try next, each with its meaning.
NEXT = (
    ("sidecar index corpus.jsonl --index DIR", 'lines of {"id", "title", "text"}'),
    ('sidecar search "a question" --index DIR', "an index of Lucene"),
    ('sidecar search "a question" --url URL --index NAME', ""),
    ("sidecar serve --url URL", "a proxy in front of OpenSearch"),
    ('sidecar demo "a question"', "this demo again"),
)


@command("demo", example='sidecar demo "how do I read a file line by line"')
@takes("window", *MODEL, *FUSION, *BM25)
def demo_command(
    question: Annotated[str | None, typer.Argument(help="A question to ask. Unset: three examples.")] = None,
    *,
    web: Annotated[bool, typer.Option("--web", help="Show the page /ui on this index, until Ctrl-C.")] = False,
    settings: Settings,
) -> None:
    """Index the documentation of the installed Python, and rerank the hits of BM25 for a few questions."""
    from connectors.pyserini.build import build_index
    from connectors.pyserini.connector import PyseriniConnector
    from connectors.pyserini.index import LuceneIndex
    from sidecar.demo_corpus import standard_library

    console = result_console()
    with tempfile.TemporaryDirectory(prefix="sidecar-demo-") as folder:
        directory = Path(folder) / "index"
        started = perf_counter()
        with working("reading the documentation of Python"):
            documents = list(standard_library())
        read_at = perf_counter()
        with working("starting Java and indexing with Lucene"):
            build_index(documents, directory)
        indexed_at = perf_counter()
        if web:
            console.print(f"{len(documents)} docstrings of Python {platform.python_version()} are indexed")
            show_page(settings, directory, question)
            return
        reranker = build_reranker(settings)
        loaded_at = perf_counter()
        console.print(
            f"{len(documents)} docstrings of Python {platform.python_version()}\n"
            f"read in {read_at - started:.1f} s, indexed with Lucene in {indexed_at - read_at:.1f} s, "
            f"model {reranker.scorer.name} loaded in {loaded_at - indexed_at:.1f} s"
        )
        with LuceneIndex(directory, k1=settings.k1, b=settings.b) as index:
            connector = PyseriniConnector(index)
            for asked in [question] if question else QUESTIONS:
                _answer(console, asked, connector, reranker, settings.window)
    console.print()
    console.print("[bold]Next, with an index of your own[/]")
    for words, meaning in NEXT:
        shown = meaning if console.width >= NARROW else ""
        console.print(f"  {words:<41}  {shown}".rstrip(), markup=False, soft_wrap=True)


def _answer(console: Console, question: str, connector: PyseriniConnector, reranker: Reranker, window: int) -> None:
    from connectors.pyserini.connector import LuceneRequest

    started = perf_counter()
    with working("searching and scoring"):
        first_stage = connector.fetch(LuceneRequest(question, SHOWN, window))
        fetched = perf_counter() - started
        ranking = reranker.rank_candidates(first_stage.query, first_stage.candidates)
    console.print()
    console.print(f"[bold cyan]{escape(question)}[/]")
    if not ranking.hits:
        console.print("BM25 finds no document.")
        return
    print_results(
        *first_stage_and_reranked(first_stage.candidates, ranking, SHOWN, width=console.width), console=console
    )
    best = ranking.hits[0]
    console.print(
        f"[bold]{escape(label(best.candidate))}[/]: BM25's rank {best.candidate.rank}, now 1\n"
        f"first stage {fetched * 1000:.0f} ms · scoring {ranking.scored} passages "
        f"{ranking.seconds['score'] * 1000:.0f} ms · fusion {ranking.seconds['fuse'] * 1000:.1f} ms",
        style="dim",
    )
