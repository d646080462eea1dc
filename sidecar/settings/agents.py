"""The settings of `sidecar mcp`, declared once; `sidecar.settings` reads them with all the others."""

from __future__ import annotations

from pydantic import BaseModel, Field


class AgentSettings(BaseModel):
    """The limits of the tools for agents, beside `max_documents` and `max_characters`."""

    mcp_hits: int = Field(50, ge=1, le=10_000, description="Most hits that the tool search returns.")
    mcp_text_characters: int = Field(
        2000, ge=1, le=1_000_000, description="Characters of a text that the tools return; the model reads all of it."
    )
