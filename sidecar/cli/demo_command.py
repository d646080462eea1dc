"""`sidecar demo`: index, search and rerank the documentation of the installed Python, which every machine has."""

from __future__ import annotations

import platform
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from sidecar.cli.app import command
from sidecar.cli.demo_page import check_page, show_page
from sidecar.cli.demo_search import DemoSearch, demo_search, has_lucene
from sidecar.cli.effects import Condition
from sidecar.cli.factories import build_reranker
from sidecar.cli.options import BM25, FUSION, MODEL, takes
from sidecar.cli.progress import working
from sidecar.cli.tables import first_stage_and_reranked, label
from sidecar.cli.terminal import NARROW, print_results, result_console
from sidecar.reranker import Reranker
from sidecar.settings import Settings

QUESTIONS = (
    "start a function some seconds later",
    "ask for a password without showing what is typed",
    "show a web page to the user",
)
SHOWN = 5

CONDITIONS = (
    Condition(("k1", "b"), lambda _: has_lucene(), "without pyserini SQLite searches, whose BM25 is fixed"),
    Condition(("web",), lambda _: has_lucene(), "the page needs pyserini (pip install 'rerank-sidecar[pyserini]')"),
)

# Commands to try next, each with its meaning.
NEXT = (
    ("sidecar index corpus.jsonl --index DIR", 'lines of {"id", "title", "text"}'),
    ('sidecar search "a question" --index DIR', "an index of Lucene"),
    ('sidecar search "a question" --url URL --index NAME', ""),
    ("sidecar serve --url URL", "a proxy in front of OpenSearch, and the page"),
    ('sidecar demo "a question"', "this demo again; with --web on the page"),
)


@command("demo", example='sidecar demo "how do I read a file line by line"')
@takes("window", *MODEL, *FUSION, *BM25, conditions=CONDITIONS)
def demo_command(
    question: Annotated[str | None, typer.Argument(help="A question to ask. Unset: three examples.")] = None,
    *,
    web: Annotated[bool, typer.Option("--web", help="Show the page /ui on this index, until Ctrl-C.")] = False,
    settings: Settings,
) -> None:
    """Index the documentation of the installed Python, and rerank the hits of BM25 for a few questions.

    Lucene indexes it where pyserini is installed, and SQLite elsewhere.
    """
    from sidecar.demo_corpus import standard_library

    console, lucene = result_console(), has_lucene()
    if web:
        check_page(settings, lucene=lucene)
    with ExitStack() as until_shown:
        folder = Path(until_shown.enter_context(tempfile.TemporaryDirectory(prefix="sidecar-demo-")))
        started = perf_counter()
        with working("reading the documentation of Python"):
            documents = standard_library()
        read_at = perf_counter()
        with working("starting Java and indexing with Lucene" if lucene else "indexing with SQLite"):
            search = until_shown.enter_context(
                demo_search(documents, folder, lucene=lucene, k1=settings.k1, b=settings.b)
            )
        indexed_at = perf_counter()
        if web:
            console.print(f"{len(documents)} docstrings of Python {platform.python_version()} are indexed")
            show_page(settings, folder / "index", question)
            return
        reranker = build_reranker(settings)
        loaded_at = perf_counter()
        console.print(
            f"{len(documents)} docstrings of Python {platform.python_version()}\n"
            f"read in {read_at - started:.1f} s, indexed with {search.name} in {indexed_at - read_at:.1f} s, "
            f"model {reranker.scorer.name} loaded in {loaded_at - indexed_at:.1f} s"
        )
        for asked in [question] if question else QUESTIONS:
            _answer(console, asked, search, reranker, settings.window)
    console.print()
    console.print("[bold]Next, with an index of your own[/]")
    for words, meaning in NEXT:
        shown = meaning if console.width >= NARROW else ""
        console.print(f"  {words:<41}  {shown}".rstrip(), markup=False, soft_wrap=True)


def _answer(console: Console, question: str, search: DemoSearch, reranker: Reranker, window: int) -> None:
    started = perf_counter()
    with working("searching and scoring"):
        candidates = search.candidates(question, window)
        fetched = perf_counter() - started
        ranking = reranker.rank_candidates(question, candidates)
    console.print()
    console.print(f"[bold cyan]{escape(question)}[/]")
    if not ranking.hits:
        console.print("BM25 finds no document.")
        return
    print_results(*first_stage_and_reranked(candidates, ranking, SHOWN, width=console.width), console=console)
    best = ranking.hits[0]
    console.print(
        f"[bold]{escape(label(best.candidate))}[/]: BM25's rank {best.candidate.rank}, now 1\n"
        f"first stage {fetched * 1000:.0f} ms · scoring {ranking.scored} passages "
        f"{ranking.seconds['score'] * 1000:.0f} ms · fusion {ranking.seconds['fuse'] * 1000:.1f} ms",
        style="dim",
    )
