"""Write our errors in OpenSearch's own shape, which its clients can read. No I/O."""

from __future__ import annotations

import msgspec

from sidecar.serving.http.headers import Headers

JSON: Headers = [(b"content-type", b"application/json; charset=UTF-8")]
# For each of our statuses, a type that OpenSearch's clients know.
_TYPES = {
    400: "illegal_argument_exception",
    403: "security_exception",
    404: "resource_not_found_exception",
    408: "timeout_exception",
    413: "content_too_long_exception",
    417: "illegal_argument_exception",
    429: "rejected_execution_exception",
    502: "connect_transport_exception",
    503: "no_seed_node_left_exception",
    504: "receive_timeout_transport_exception",
}


def error_body(status: int, reason: str) -> bytes:
    """Write `{"error": {"root_cause": […], "type", "reason"}, "status"}`."""
    cause = {"type": _TYPES.get(status, "exception"), "reason": reason}
    return msgspec.json.encode({"error": {"root_cause": [cause], **cause}, "status": status})
