"""Turns an error answer of OpenSearch into one of our errors, which keeps its status and bytes. No I/O."""

from __future__ import annotations

import msgspec

from sidecar.core.errors import EngineRejected, IndexNotFound

_REMEDIES = {
    401: "Give the right user name and password (in the URL: https://user:password@host:9200), token or certificate.",
    403: "Ask for the permission, or use an account that has it.",
    429: "The cluster is overloaded: wait, or ask for a smaller window.",
}


class MissingIndex(EngineRejected, IndexNotFound):
    """The index does not exist; OpenSearch's status and answer are kept."""


def rejection(status: int, text: str) -> EngineRejected:
    """Make an error of a rejection; `text` is OpenSearch's answer, JSON or not."""
    kind, reason = _cause(text)
    message = f"OpenSearch answered {status}: {reason}"
    body = text.encode("utf-8", "surrogatepass")
    if status == 404 and kind == "index_not_found_exception":
        return MissingIndex(message, status=status, body=body, remedy="Create the index, or name another one.")
    return EngineRejected(message, status=status, body=body, remedy=_REMEDIES.get(status, ""))


def lacks_rerank_ext(body: bytes) -> bool:
    """Tell whether an error means that a rerank processor found no `ext.rerank` (a null pointer in 2.19.1)."""
    kind, reason = _cause(body.decode("utf-8", "replace"))
    return kind == "null_pointer_exception" and "RerankSearchExt" in reason


class _Error(msgspec.Struct):
    type: str = ""
    reason: str | None = None
    root_cause: list[_Error] = []


class _ErrorBody(msgspec.Struct):
    error: _Error | str


def _cause(text: str) -> tuple[str, str]:
    """Read type and reason of an error's root cause; a text that is not OpenSearch's JSON is its own reason."""
    try:
        error = msgspec.json.decode(text, type=_ErrorBody).error
    except (msgspec.DecodeError, UnicodeEncodeError):
        return "", text.strip()[:500] or "nothing"
    if isinstance(error, str):
        return "", error
    root = error.root_cause[0] if error.root_cause else error
    return root.type, root.reason or root.type
