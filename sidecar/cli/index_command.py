"""`sidecar index`: load a corpus into an index of Lucene or OpenSearch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from sidecar.cli.app import command
from sidecar.cli.effects import Condition, SearchEngine
from sidecar.cli.factories import build_opensearch_client, require
from sidecar.cli.options import BM25, OPENSEARCH, takes
from sidecar.cli.progress import Pace, progress
from sidecar.cli.terminal import say
from sidecar.core.corpus import read_corpus, unique
from sidecar.settings import Settings

CONDITIONS = (
    Condition(
        BM25,
        lambda mode: mode.engine is SearchEngine.OPENSEARCH,
        "a Lucene index does not store them; give them to the command that searches it",
    ),
    Condition(
        ("opensearch_url", *OPENSEARCH),
        lambda mode: mode.engine is SearchEngine.OPENSEARCH,
        "a Lucene index is built on this machine, without OpenSearch",
    ),
)


@command("index", example="sidecar index corpus.jsonl --index indexes/docs")
@takes(*BM25, *OPENSEARCH, conditions=CONDITIONS, opensearch_url="--url")
def index_command(
    corpus: Annotated[
        Path, typer.Argument(help="Documents: JSON (_id or id, title, text or contents), docid<TAB>text, or a folder.")
    ],
    index: Annotated[str, typer.Option(help="Directory of a Lucene index, or name of an OpenSearch index.")],
    engine: Annotated[
        SearchEngine, typer.Option(help="Engine to index with. Unset: OpenSearch if --url is set, else Lucene.")
    ],
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing index.")] = False,
    settings: Settings,
) -> None:
    """Index a corpus with Lucene or OpenSearch; the index appears once it is complete."""
    require(corpus)
    with progress("indexing", Pace("documents")) as meter:
        build = _lucene if engine is SearchEngine.LUCENE else _opensearch
        summary = build(corpus, index, overwrite, settings, meter.reach)
    say(summary)


def _lucene(corpus: Path, index: str, overwrite: bool, settings: Settings, advance: Callable[[int], None]) -> str:
    del settings
    from connectors.pyserini.build import build_index

    report = build_index(read_corpus(corpus), Path(index), overwrite=overwrite, progress=advance)
    empty = f", {report.empty} without text left out" if report.empty else ""
    return f'{report.indexed} documents in {report.seconds:.1f} s{empty}. Next: sidecar search "…" --index {index}'


def _opensearch(corpus: Path, index: str, overwrite: bool, settings: Settings, advance: Callable[[int], None]) -> str:
    from connectors.opensearch.admin.bulk import IndexOptions, load

    options = IndexOptions(k1=settings.k1, b=settings.b, overwrite=overwrite)
    loaded = load(
        build_opensearch_client(settings), index, unique(read_corpus(corpus)), options=options, progress=advance
    )
    rejected = "".join(f"\nrejected: {docid}: {reason}" for docid, reason in loaded.reasons)
    return (
        f"{loaded.indexed} documents, {loaded.rejected} rejected. "
        f'Next: sidecar search "…" --engine opensearch --index {index}{rejected}'
    )
