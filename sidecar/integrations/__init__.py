"""Rerankers for other frameworks: each module is an adapter from that framework's documents to `Reranker`.

A module imports its framework, so it is imported by its own name: `from sidecar.integrations.langchain import …`.
"""

from __future__ import annotations
