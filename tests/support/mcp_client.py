"""Calls the tools of `sidecar mcp` as an agent does: it starts the process and speaks the protocol on its pipes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.stdio import stdio_client

ROOT = Path(__file__).parents[2]
COMMAND = ["-c", "from sidecar.cli.main import main; main()", "mcp"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


async def called(words, *calls):
    parameters = StdioServerParameters(command=sys.executable, args=[*COMMAND, *words], env=ENVIRONMENT)
    async with Client(stdio_client(parameters)) as client:
        return [await client.call_tool(tool, arguments) for tool, arguments in calls]
