"""The API's description in OpenAPI: bodies by their models, statuses by the possible faults. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sidecar.serving.rerank_api.dialect import Dialect, ParsedRequest
from sidecar.serving.rerank_api.endpoints import ENDPOINTS, Endpoint
from sidecar.serving.rerank_api.problem import Fault

Schema = dict[str, Any]
_REFERENCE = "#/components/schemas/{model}"
_MEANINGS = {
    Fault.NOT_JSON: "the body is not a JSON object",
    Fault.INVALID: "a part of the body is missing or of another kind",
    Fault.EMPTY: "no query, or nothing to rank",
    Fault.TOO_LARGE: "more documents or characters than allowed",
    Fault.BODY_TOO_LARGE: "the body is too large",
    Fault.BODY_TOO_SLOW: "the body did not arrive in time",
    Fault.NO_KEY: "the API key is missing or wrong",
    Fault.WRONG_HOST: "the host name is not served",
    Fault.UNKNOWN_MODEL: "there is no such model",
    Fault.BUSY: "too much is being scored already",
    Fault.RATE_LIMITED: "the caller's requests or tokens of this minute are used up",
    Fault.UNAVAILABLE: "no scorer answers now",
    Fault.TOO_LATE: "not everything was scored in time",
    Fault.FAILED: "the model failed",
}


def reference_to(body: type[ParsedRequest]) -> Schema:
    """Return a reference to the schema of a body."""
    return {"$ref": _REFERENCE.format(model=body.__name__)}


def body_of(endpoint: Endpoint) -> Schema:
    """Return the request body of an endpoint, with an example."""
    kinds = [reference_to(one.body) for one in endpoint.operations]
    schema = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    content = {"application/json": {"schema": schema, "example": dict(endpoint.operation.example)}}
    return {"requestBody": {"required": True, "content": content}}


def responses_of(dialects: Sequence[Dialect]) -> dict[int | str, Schema]:
    """Return every status that the dialects may answer with, and why."""
    reasons: dict[int, list[str]] = {200: ["scored"]}
    for dialect in dialects:
        for fault, why in _MEANINGS.items():
            known = reasons.setdefault(dialect.status(fault), [])
            if why not in known:
                known.append(why)
    return {status: {"description": "; ".join(reasons[status])} for status in sorted(reasons)}


def schemas() -> dict[str, Schema]:
    """Return every model that a body refers to, by name."""
    found: dict[str, Schema] = {}
    for endpoint in ENDPOINTS:
        for operation in endpoint.operations:
            schema = operation.body.model_json_schema(ref_template=_REFERENCE)
            found |= schema.pop("$defs", {})
            found[operation.body.__name__] = schema
    return found
