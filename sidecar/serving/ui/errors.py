"""Errors of a comparison as JSON: `{"error"}`, with `engine_status` where OpenSearch refused the search. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from sidecar.core.errors import EngineError, EngineRejected, IndexNotFound, InputError
from sidecar.serving.http.request_body import ClientLeft
from sidecar.serving.proxy.upstream import AnswerTooLarge, UpstreamDown, UpstreamSlow

# The first kind that fits counts: HTTP status, and the beginning of the message.
_KINDS: tuple[tuple[type[Exception], int, str], ...] = (
    (IndexNotFound, 404, ""),
    (InputError, 400, ""),
    (EngineError, 503, ""),
    (UpstreamSlow, 504, "OpenSearch gave no answer in time: "),
    (UpstreamDown, 502, "OpenSearch gave no answer: "),
    (AnswerTooLarge, 502, "OpenSearch gave no answer that can be used: "),
    (ClientLeft, 499, "the caller left"),
)
FAILURES = tuple(kind for kind, _, _ in _KINDS)


def failure(error: Exception) -> Response:
    """Return the response for one of `FAILURES`; a refusal of the engine's keeps its 4xx status."""
    if isinstance(error, EngineRejected):
        status = error.status if 400 <= error.status < 500 else 502
        return as_json({"error": error.message, "engine_status": error.status}, status)
    status, words = next((status, words) for kind, status, words in _KINDS if isinstance(error, kind))
    return as_json({"error": " ".join(f"{words}{error}".split())}, status)


def as_json(said: Mapping[str, Any], status: int = 200) -> Response:
    """Return an object as JSON."""
    return Response(msgspec.json.encode(said), status, media_type="application/json")
