"""`sidecar search`: search an index for one query, rerank the hits, and print them in the engine's own format."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer

from sidecar.cli.app import command
from sidecar.cli.effects import SearchEngine
from sidecar.cli.factories import build_opensearch_client, build_reranker, open_lucene, open_stage_two
from sidecar.cli.first_stages import SEARCHED
from sidecar.cli.opensearch_fields import FieldWarnings, fields_to_search
from sidecar.cli.options import BM25, FIELDS, FUSION, LISTWISE, MODEL, OPENSEARCH, PYSERINI, RM3, takes
from sidecar.cli.progress import working
from sidecar.cli.tables import docids_and_titles, one_line, paragraph
from sidecar.cli.terminal import message_console, print_results, result_console, say
from sidecar.core.candidates import Cut, FirstStage, Ranking
from sidecar.core.documents import nothing_to_read
from sidecar.core.explanation import Explanation, explain
from sidecar.core.spans import SpanOptions, span_with_text
from sidecar.core.stage_two import StageTwo
from sidecar.experiments.run_files import trec_lines
from sidecar.reranker import Reranker
from sidecar.settings import Settings


class Format(StrEnum):
    """The format of the output."""

    TABLE = "table"
    JSON = "json"
    TREC = "trec"


@command("search", example='sidecar search "life cycle of a flea" --index indexes/docs')
@takes(
    *("window", "min_relevance", *MODEL, *FUSION, *LISTWISE, *BM25, *RM3, *FIELDS, *PYSERINI, *OPENSEARCH),
    conditions=SEARCHED,
    opensearch_url="--url",
)
def search_command(
    query: Annotated[str, typer.Argument(help="The query.")],
    index: Annotated[str, typer.Option(help="Directory of a Lucene index, or name of an OpenSearch index.")],
    engine: Annotated[
        SearchEngine, typer.Option(help="Engine of the index. Unset: OpenSearch if --url is set, else Lucene.")
    ],
    hits: Annotated[int, typer.Option(min=1, max=10_000, help="Number of hits to return.")] = 10,
    output_format: Annotated[
        Format, typer.Option("--format", help="Format of the output; json is the response format of the engine.")
    ] = Format.TABLE,
    *,
    spans: Annotated[
        int, typer.Option("--spans", min=0, max=64, help="Sentences to show of each hit, those that answer best.")
    ] = 0,
    explained: Annotated[bool, typer.Option("--explain", help="Explain the rank of each hit.")] = False,
    settings: Settings,
) -> None:
    """Search an index, rerank the first hits, and print them."""
    found = (_lucene if engine is SearchEngine.LUCENE else _opensearch)(query, index, hits, settings)
    _say_what_is_missing(found, settings)
    if output_format is Format.JSON:
        sys.stdout.write(found.response.decode() + "\n")
    elif output_format is Format.TREC:
        sys.stdout.writelines(trec_lines("1", found.docids, found.scores, "rerank-sidecar"))
    elif found.first_stage.skipped:
        sys.stdout.writelines(f"{docid}\t{score}\n" for docid, score in zip(found.docids, found.scores, strict=True))
    else:
        console = result_console()
        rows = docids_and_titles(found.first_stage.candidates, found.ranking, hits, width=console.width)
        print_results(*rows, console=console)
    if spans:
        _print_spans(found, hits, spans, output_format)
    if explained:
        _print(explain(found.ranking, found.reranker.scorer.mapping)[:hits], output_format)
    if found.first_stage.is_unreadable:
        raise typer.Exit(1)


def _say_what_is_missing(found: SearchResult, settings: Settings) -> None:
    """Say why hits are not there, or not reranked, or not in the order of stage two."""
    if found.first_stage.is_unreadable:
        documents = found.first_stage.native.documents()
        say(nothing_to_read(documents, settings.as_fields()))
    elif not found.first_stage.candidates and not found.first_stage.skipped:
        say("no document matches the query.")
    if found.first_stage.skipped:
        say(f"not reranked: {found.first_stage.skipped}")
    if found.ranking.cut is not None:
        say(_left_out(found.ranking.cut))
    if found.ranking.stage_two is not None and found.ranking.stage_two.why is not None:
        say(_not_all_applied(found.ranking.stage_two))


def _print_spans(found: SearchResult, hits: int, most: int, output_format: Format) -> None:
    """Print the best sentences of each hit: as a second line of JSON, or as text, which goes to stderr beside a run."""
    page = [hit.candidate for hit in found.ranking.hits[:hits]]
    with working("scoring sentences"):
        each = found.reranker.spans(found.ranking.query, [one.passage for one in page], SpanOptions(most))
    told = [
        {"docid": one.docid, "spans": [span_with_text(one.passage.text, span) for span in own]}
        for one, own in zip(page, each, strict=True)
    ]
    if output_format is Format.JSON:
        sys.stdout.write(json.dumps({"spans": told}, ensure_ascii=False) + "\n")
        return
    console = message_console() if output_format is Format.TREC else result_console()
    for one, own in zip(page, each, strict=True):
        console.print()
        console.print(one_line(one.docid), markup=False, highlight=False, style="bold")
        for span in own:
            words = one_line(one.passage.text[span.start : span.end])
            console.print(f"  {span.score:.3f}  {words}", markup=False, highlight=False, soft_wrap=True)


def _left_out(cut: Cut) -> str:
    unscored = f" ({cut.unscored} of them without a score)" if cut.unscored else ""
    return f"hits left out by --min-relevance {cut.least:g}: {cut.dropped}{unscored}"


def _not_all_applied(stage_two: StageTwo) -> str:
    why = str(stage_two.why).removeprefix("stage two: ")
    if stage_two.applied:
        return f"stage two: {why}; these windows keep the order that they had."
    return f"stage two is not applied: {why}; the hits have the order of stage one."


def _print(explanations: list[Explanation], output_format: Format) -> None:
    """Print the explanations: as a second line of JSON, or as text, which goes to stderr beside a TREC run."""
    if output_format is Format.JSON:
        sys.stdout.write(msgspec.json.encode({"explanation": explanations}).decode() + "\n")
        return
    console = message_console() if output_format is Format.TREC else result_console()
    for explanation in explanations:
        console.print()
        console.print(paragraph(explanation), soft_wrap=True)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of one search: the stages for the table, the native response, and its hits for a run."""

    first_stage: FirstStage[Any]
    ranking: Ranking
    reranker: Reranker
    response: bytes
    docids: list[str]
    scores: list[float]


def _ranked(query: str, first_stage: FirstStage[Any], settings: Settings) -> tuple[Ranking, Reranker]:
    """Load the models and rank; return the reranker, too."""
    with open_stage_two(settings, fail_open=True) as stage:
        reranker = build_reranker(settings, min_relevance=settings.min_relevance, listwise=stage)
        then = "" if stage is None else f", and putting the first {settings.listwise_depth} in order"
        with working(f"scoring {len(first_stage.candidates)} passages{then}"):
            return reranker.rank_candidates(query, first_stage.candidates), reranker


def _lucene(query: str, index: str, hits: int, settings: Settings) -> SearchResult:
    from connectors.pyserini.connector import LuceneRequest, PyseriniConnector
    from connectors.pyserini.hits import rest_response

    with open_lucene(index, settings) as searcher:
        connector = PyseriniConnector(searcher, settings.as_fields())
        with working(f"searching {index}"):
            first_stage = connector.fetch(LuceneRequest(query, hits, settings.window))
    ranking, reranker = _ranked(query, first_stage, settings)
    answer = connector.respond(first_stage, ranking)
    response = msgspec.json.encode(rest_response(searcher.name, query, answer))
    docids, scores = [hit.docid for hit in answer], [hit.score for hit in answer]
    return SearchResult(first_stage, ranking, reranker, response, docids, scores)


def _opensearch(query: str, index: str, hits: int, settings: Settings) -> SearchResult:
    from connectors.opensearch.connector import OpenSearchConnector, SearchRequest
    from connectors.opensearch.rewrite.match_body import match_body

    client = build_opensearch_client(settings)
    with working(f"searching {index}"):
        fields = fields_to_search(client, index, settings)
        connector = OpenSearchConnector(client, settings.as_fields())
        first_stage = connector.fetch(SearchRequest(index, match_body(query, fields, hits), window=settings.window))
    FieldWarnings()(first_stage.native.warning)
    ranking, reranker = _ranked(query, first_stage, settings)
    response = connector.respond(first_stage, ranking)
    answer = msgspec.json.decode(response)["hits"]["hits"]
    docids, scores = [hit["_id"] for hit in answer], [hit["_score"] for hit in answer]
    return SearchResult(first_stage, ranking, reranker, response, docids, scores)
