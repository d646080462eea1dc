"""The tools as an MCP server. The only module that imports the SDK `mcp`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

import anyio
import anyio.to_thread
from pydantic import Field

from sidecar.agents.tools import FEW, Hit, RankedPassage, Tools
from sidecar.core.errors import ConfigurationError, SidecarError
from sidecar.version import __version__

try:
    from mcp.server import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp_types import ToolAnnotations
except ImportError as error:
    raise ConfigurationError(
        f"the SDK of MCP can't be imported: {error}.", remedy="Install it with: pip install 'rerank-sidecar[mcp]'"
    ) from error

Result = TypeVar("Result")
Query = Annotated[str, Field(description="The question or the words to search for.")]


def build_server(tools: Tools, searched: str | None = None) -> MCPServer:
    """Return the server; `searched` names the index in the description of the tool `search`, which needs one.

    An error that a caller can avoid is a tool's error, with what to do about it.
    """
    logging.getLogger("mcp").setLevel(logging.WARNING)
    server = MCPServer(
        "rerank-sidecar",
        version=__version__,
        instructions="Finds the passages that answer a question best, with a cross-encoder.",
        log_level="WARNING",
    )
    # Scoring takes the whole machine: one call at a time, and the loop stays free for the protocol.
    turn = anyio.Semaphore(1)
    reads = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)

    async def run(call: Callable[..., Result], *arguments: Any) -> Result:
        async with turn:
            try:
                return await anyio.to_thread.run_sync(partial(call, *arguments))
            except SidecarError as error:
                raise ToolError(f"{error.message}\n{error.remedy}".strip()) from error

    if tools.searches:

        @server.tool(
            description=f"Search {searched}, and return the hits that a cross-encoder ranks best, with their texts.",
            annotations=reads,
        )
        async def search(
            query: Query,
            hits: Annotated[int | None, Field(description=f"How many hits to return; by default {FEW}.")] = None,
        ) -> list[Hit]:
            return await run(tools.search, query, hits)

    @server.tool(description="Order passages by how well they answer a query, best first.", annotations=reads)
    async def rerank(
        query: Query,
        passages: Annotated[list[str], Field(description="The texts to order.")],
        top_n: Annotated[int | None, Field(description="How many to return; all by default.")] = None,
    ) -> list[RankedPassage]:
        return await run(tools.rerank, query, passages, top_n)

    return server
