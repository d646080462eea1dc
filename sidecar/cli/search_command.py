"""`sidecar search`: one query against an index, reranked, in the engine's own format."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from sidecar.candidates import FirstStage, Ranking
from sidecar.cli.app import app
from sidecar.cli.index_command import Engine
from sidecar.cli.options import FIELDS, FUSION, LUCENE, MODEL, OPENSEARCH, takes
from sidecar.cli.parts import build_opensearch_client, build_reranker
from sidecar.cli.tables import side_by_side
from sidecar.settings import Settings


class Format(StrEnum):
    """What to print."""

    TABLE = "table"
    JSON = "json"
    TREC = "trec"


@app.command("search")
@takes("window", *MODEL, *FUSION, *LUCENE, *FIELDS, *OPENSEARCH, opensearch_url="--url")
def search_command(
    query: Annotated[str, typer.Argument(help="What to search for.")],
    index: Annotated[str, typer.Option(help="Directory of a Lucene index, or name of an OpenSearch one.")],
    engine: Annotated[Engine, typer.Option(help="Which engine holds the index.")] = Engine.LUCENE,
    hits: Annotated[int, typer.Option(min=1, max=10_000, help="How many hits to return.")] = 10,
    output_format: Annotated[Format, typer.Option("--format", help="json is the engine's own shape.")] = Format.TABLE,
    *,
    settings: Settings,
) -> None:
    """Search an index and rerank its first hits."""
    search = _lucene if engine is Engine.LUCENE else _opensearch
    first_stage, ranking, response = search(query, index, hits, settings)
    if first_stage.skipped:
        Console(stderr=True).print(f"not reranked: {first_stage.skipped}")
    if output_format is Format.JSON:
        sys.stdout.write(response.decode() + "\n")
    elif output_format is Format.TREC:
        from sidecar.experiments.run_files import RunFormat, RunWriter

        cut = Ranking(ranking.query, ranking.hits[:hits], ranking.seconds)
        RunWriter(sys.stdout, RunFormat.TREC, "rerank-sidecar").write("1", cut)
    else:
        Console().print(side_by_side(first_stage.candidates, ranking, hits))


def _lucene(query: str, index: str, hits: int, settings: Settings) -> tuple[FirstStage[object], Ranking, bytes]:
    from connectors.pyserini.connector import LuceneRequest, PyseriniConnector
    from connectors.pyserini.hits import rest_response
    from connectors.pyserini.index import LuceneIndex
    from connectors.pyserini.passages import PassageFields

    searcher = LuceneIndex(Path(index), k1=settings.k1, b=settings.b)
    connector = PyseriniConnector(searcher, PassageFields(settings.title_fields, settings.text_fields))
    first_stage = connector.fetch(LuceneRequest(query, hits, settings.window))
    ranking = build_reranker(settings).rerank(query, first_stage.candidates)
    response = rest_response(searcher.name, query, connector.respond(first_stage, ranking))
    return first_stage, ranking, msgspec.json.encode(response)


def _opensearch(query: str, index: str, hits: int, settings: Settings) -> tuple[FirstStage[object], Ranking, bytes]:
    from connectors.opensearch.connector import OpenSearchConnector, SearchRequest

    fields = [*settings.title_fields, *settings.text_fields]
    body = {"query": {"multi_match": {"query": query, "fields": fields, "type": "cross_fields"}}, "size": hits}
    connector = OpenSearchConnector(
        build_opensearch_client(settings), title_fields=settings.title_fields, text_fields=settings.text_fields
    )
    first_stage = connector.fetch(SearchRequest(index, body, window=settings.window))
    ranking = build_reranker(settings).rerank(query, first_stage.candidates)
    return first_stage, ranking, connector.respond(first_stage, ranking)
