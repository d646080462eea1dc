"""`sidecar mcp`: offer search and rerank to agents, over the Model Context Protocol on stdin and stdout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sidecar.cli.app import command
from sidecar.cli.effects import Condition, SearchEngine
from sidecar.cli.factories import build_reranker, open_stage_two
from sidecar.cli.first_stages import SEARCHED, open_stage
from sidecar.cli.options import BM25, FIELDS, FUSION, LISTWISE, MODEL, OPENSEARCH, PYSERINI, RM3, takes
from sidecar.core.candidates import FirstStage
from sidecar.settings import Settings

if TYPE_CHECKING:
    from mcp.server import MCPServer

# The rerank tool has no first stage.
_WITH_INDEX = Condition(
    ("window", "mcp_hits", *FUSION, *BM25, *RM3, *FIELDS, *PYSERINI, "opensearch_url", *OPENSEARCH),
    lambda mode: mode.index is not None,
    "nothing is searched without --index",
)


@command("mcp", example="sidecar mcp --index indexes/docs")
@takes(
    *("window", "min_relevance", "max_documents", "max_characters", "mcp_hits", "mcp_text_characters"),
    *(*MODEL, *FUSION, *LISTWISE, *BM25, *RM3, *FIELDS, *PYSERINI, *OPENSEARCH),
    conditions=(_WITH_INDEX, *SEARCHED),
    opensearch_url="--url",
)
def mcp_command(
    engine: Annotated[
        SearchEngine, typer.Option(help="Engine of the index. Unset: OpenSearch if --url is set, else Lucene.")
    ],
    index: Annotated[
        str | None,
        typer.Option(
            help="Directory of a Lucene index, or name of an OpenSearch index. Unset: only rerank is offered."
        ),
    ] = None,
    *,
    settings: Settings,
) -> None:
    """Offer search and rerank to agents as tools of an MCP server on stdin and stdout (extra `mcp`)."""
    with open_server(engine, index, settings) as server:
        server.run("stdio")


@contextmanager
def open_server(engine: SearchEngine, index: str | None, settings: Settings) -> Iterator[MCPServer]:
    """Load the model, open the index, and build the server. Raises what they raise."""
    from sidecar.agents.server import build_server
    from sidecar.agents.tools import Limits, Tools

    limits = Limits(
        settings.window,
        settings.mcp_hits,
        settings.max_documents,
        settings.max_characters,
        settings.mcp_text_characters,
    )
    with open_stage_two(settings) as stage, _first_stage(engine, index, settings) as fetch:
        reranker = build_reranker(settings, min_relevance=settings.min_relevance, listwise=stage)
        yield build_server(Tools(reranker, limits, fetch), f"the index {index}")


@contextmanager
def _first_stage(
    engine: SearchEngine, index: str | None, settings: Settings
) -> Iterator[Callable[[str], FirstStage[Any]] | None]:
    if index is None:
        yield None
        return
    with open_stage(engine, index, settings, hits=settings.window, threads=1) as stage:
        yield lambda query: stage.fetch({"query": query})["query"]
