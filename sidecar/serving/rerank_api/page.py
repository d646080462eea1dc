"""Write the API on one page of plain HTML, from its OpenAPI description; the page loads nothing else. No I/O."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h2{font-size:1.05rem;margin:2rem 0 .2rem}code,pre{font:14px/1.45 ui-monospace,monospace}
pre{background:#f3f5f7;padding:.7rem;border-radius:6px;white-space:pre-wrap;overflow-wrap:anywhere}
.method{color:#0b6e4f;margin-right:.6rem}dl{display:grid;grid-template-columns:4rem 1fr;margin:.4rem 0}dd{margin:0}
@media (prefers-color-scheme:dark){body{background:#14171a;color:#dfe3e7}pre{background:#20252a}.method{color:#5fd3a8}}
"""


def page(api: Mapping[str, Any], base: str) -> str:
    """Write the page for an OpenAPI description; `base` is the address that its examples call."""
    info = api["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{html.escape(info['title'])}</title><style>{_STYLE}</style>",
        f"<h1>{html.escape(info['title'])} <small>{html.escape(info['version'])}</small></h1>",
        f"<p>{html.escape(info['description'])} The same for programs: <a href=openapi.json>openapi.json</a>.</p>",
    ]
    for path, methods in api["paths"].items():
        parts += [_operation(method.upper(), path, one, base) for method, one in methods.items()]
    return "\n".join(parts)


def _operation(method: str, path: str, operation: Mapping[str, Any], base: str) -> str:
    statuses = "".join(
        f"<dt>{status}</dt><dd>{html.escape(answer['description'])}</dd>"
        for status, answer in operation["responses"].items()
    )
    return (
        f"<h2><code><span class=method>{method}</span>{html.escape(path)}</code></h2>"
        f"<p>{html.escape(operation.get('summary', ''))}</p>"
        f"<pre>{html.escape(_curl(path, operation, base))}</pre>"
        f"<details><summary>statuses</summary><dl>{statuses}</dl></details>"
    )


def _curl(path: str, operation: Mapping[str, Any], base: str) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    if body is None:
        return f"curl '{base}{path}'"
    return f"curl {base}{path} -H 'Content-Type: application/json' -d '{json.dumps(body)}'"
