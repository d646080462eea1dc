"""Serve the files of the page at /ui, with headers that forbid it to run or load anything else."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Nothing is loaded from elsewhere, nothing inline is run, and no other page may frame this one.
_POLICY = "; ".join((
    *("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'"),
    *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"),
))  # fmt: skip
_HEADERS = MappingProxyType(
    {
        "content-security-policy": _POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-cache",
    }
)
INDEX = "index.html"
_FOLDER = files(__package__) / "static"
NAMES = frozenset(one.name for one in _FOLDER.iterdir() if one.is_file() and one.name != INDEX)


async def answer(request: Request) -> Response:
    """Return a file of the page; `/ui` is the page itself."""
    name = request.scope["path"].removeprefix("/ui")
    if name == "/":  # its files are named relative to /ui
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"../ui{query}", 307)
    wanted = name.removeprefix("/") or INDEX
    if wanted != INDEX and wanted not in NAMES:
        return PlainTextResponse("there is no such file", 404)
    content, tag = _file(wanted)
    headers = {**_HEADERS, "etag": tag}
    if wanted.endswith(".svg"):  # browsers ask for the icon at every change of the address
        headers["cache-control"] = "max-age=86400"
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=_TYPES["." + wanted.rpartition(".")[2]])


@cache
def _file(name: str) -> tuple[bytes, str]:
    """Return a file of the package and its entity tag."""
    content = (_FOLDER / name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:16]}"'
