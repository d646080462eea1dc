"""Tools for agents, over the Model Context Protocol (https://modelcontextprotocol.io)."""

from __future__ import annotations
