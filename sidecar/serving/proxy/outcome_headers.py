"""The response headers of a search that was reranked, or was to be. Pure."""

from __future__ import annotations

from sidecar.serving.http.headers import Headers
from sidecar.serving.proxy.search_handler import SearchAnswer
from sidecar.serving.scorer.service import Outcome


def outcome_headers(outcome: Outcome, rule: str = "") -> Headers:
    """Return the headers that say what became of a reranking, and the rule that decided, if one did."""
    said: Headers = [(b"x-rerank-status", outcome.status.value.encode())]
    if outcome.reason:
        plain = " ".join(outcome.words.split())[:300]
        said.append((b"x-rerank-reason", plain.encode("ascii", "replace")))
    if rule:
        said.append((b"x-rerank-rule", rule.encode()))
    return said


def server_timing(answered: SearchAnswer, total: float) -> tuple[bytes, bytes]:
    """Return the header that says how long each stage took; `total` is in seconds, as they are."""
    stages = {**answered.seconds, "total": total}
    return b"server-timing", ", ".join(f"{name};dur={value * 1000:.1f}" for name, value in stages.items()).encode()
