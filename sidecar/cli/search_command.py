"""`sidecar search`: one query against an index, reranked, in the engine's own format."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from sidecar.cli.app import app
from sidecar.cli.effects import SearchEngine
from sidecar.cli.factories import build_opensearch_client, build_reranker, open_lucene, say
from sidecar.cli.first_stages import SEARCHED
from sidecar.cli.opensearch_fields import FieldWarnings, fields_to_search
from sidecar.cli.options import BM25, FIELDS, FUSION, MODEL, OPENSEARCH, PYSERINI, RM3, takes
from sidecar.cli.tables import paragraph, side_by_side
from sidecar.core.candidates import FirstStage, Ranking
from sidecar.core.documents import nothing_to_read
from sidecar.core.explanation import Explanation, explain
from sidecar.experiments.run_files import trec_lines
from sidecar.scoring.score_mapping import Mapping
from sidecar.settings import Settings


class Format(StrEnum):
    """The format of the output."""

    TABLE = "table"
    JSON = "json"
    TREC = "trec"


@app.command("search")
@takes(
    "window", *MODEL, *FUSION, *BM25, *RM3, *FIELDS, *PYSERINI, *OPENSEARCH, conditions=SEARCHED, opensearch_url="--url"
)
def search_command(
    query: Annotated[str, typer.Argument(help="What to search for.")],
    index: Annotated[str, typer.Option(help="Directory of a Lucene index, or name of an OpenSearch one.")],
    engine: Annotated[
        SearchEngine, typer.Option(help="Which engine holds the index; unset: OpenSearch with a URL, else Lucene.")
    ],
    hits: Annotated[int, typer.Option(min=1, max=10_000, help="How many hits to return.")] = 10,
    output_format: Annotated[Format, typer.Option("--format", help="json is the engine's own shape.")] = Format.TABLE,
    *,
    explained: Annotated[bool, typer.Option("--explain", help="Say why each hit stands where it stands.")] = False,
    settings: Settings,
) -> None:
    """Search an index and rerank its first hits."""
    found = (_lucene if engine is SearchEngine.LUCENE else _opensearch)(query, index, hits, settings)
    if found.first_stage.is_unreadable:
        documents = found.first_stage.native.documents()
        say(nothing_to_read(documents, settings.as_fields()))
    elif not found.first_stage.candidates and not found.first_stage.skipped:
        say("no document matches the query.")
    if found.first_stage.skipped:
        Console(stderr=True).print(f"not reranked: {found.first_stage.skipped}")
    if output_format is Format.JSON:
        sys.stdout.write(found.response.decode() + "\n")
    elif output_format is Format.TREC:
        sys.stdout.writelines(trec_lines("1", found.docids, found.scores, "rerank-sidecar"))
    elif found.first_stage.skipped:
        sys.stdout.writelines(f"{docid}\t{score}\n" for docid, score in zip(found.docids, found.scores, strict=True))
    else:
        console = Console()
        console.print(side_by_side(found.first_stage.candidates, found.ranking, hits, width=console.width))
    if explained:
        _print(explain(found.ranking, found.mapping)[:hits], output_format)
    if found.first_stage.is_unreadable:
        raise typer.Exit(1)


def _print(explanations: list[Explanation], output_format: Format) -> None:
    """JSON gets a second line, so that the engine's own response stays what it is; a TREC run stays alone on stdout."""
    if output_format is Format.JSON:
        sys.stdout.write(msgspec.json.encode({"explanation": explanations}).decode() + "\n")
        return
    console = Console(stderr=output_format is Format.TREC, highlight=False)
    for explanation in explanations:
        console.print()
        console.print(paragraph(explanation), soft_wrap=True)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of one search: the stages for the table, the native response, and its hits for a run."""

    first_stage: FirstStage[Any]
    ranking: Ranking
    mapping: Mapping
    response: bytes
    docids: list[str]
    scores: list[float]


def _lucene(query: str, index: str, hits: int, settings: Settings) -> SearchResult:
    from connectors.pyserini.connector import LuceneRequest, PyseriniConnector
    from connectors.pyserini.hits import rest_response

    with open_lucene(index, settings) as searcher:
        connector = PyseriniConnector(searcher, settings.as_fields())
        first_stage = connector.fetch(LuceneRequest(query, hits, settings.window))
    reranker = build_reranker(settings)
    ranking = reranker.rank_candidates(query, first_stage.candidates)
    answer = connector.respond(first_stage, ranking)
    response = msgspec.json.encode(rest_response(searcher.name, query, answer))
    docids, scores = [hit.docid for hit in answer], [hit.score for hit in answer]
    return SearchResult(first_stage, ranking, reranker.scorer.mapping, response, docids, scores)


def _opensearch(query: str, index: str, hits: int, settings: Settings) -> SearchResult:
    from connectors.opensearch.connector import OpenSearchConnector, SearchRequest
    from connectors.opensearch.rewrite.match_body import match_body

    client = build_opensearch_client(settings)
    fields = fields_to_search(client, index, settings)
    connector = OpenSearchConnector(client, settings.as_fields())
    first_stage = connector.fetch(SearchRequest(index, match_body(query, fields, hits), window=settings.window))
    FieldWarnings()(first_stage.native.warning)
    reranker = build_reranker(settings)
    ranking = reranker.rank_candidates(query, first_stage.candidates)
    response = connector.respond(first_stage, ranking)
    answer = msgspec.json.decode(response)["hits"]["hits"]
    docids, scores = [hit["_id"] for hit in answer], [hit["_score"] for hit in answer]
    return SearchResult(first_stage, ranking, reranker.scorer.mapping, response, docids, scores)
