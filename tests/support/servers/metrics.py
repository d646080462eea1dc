"""The metrics of a running service."""

from __future__ import annotations

import re


def series(running):
    """Every series and its value."""
    text = running.ask("GET", "/_sidecar/metrics").body.decode()
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def fallbacks(running):
    """How often each reason kept a search from being reranked."""
    name = re.compile(r'sidecar_fallbacks_total\{.*reason="([^"]*)".*\}')
    return {found[1]: float(value) for one, value in series(running).items() if (found := name.fullmatch(one))}
