"""Read JSON from untrusted callers: everything unusual is either read in one defined way, or refused. No I/O."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from sidecar.serving.rerank_api.problem import Fault, Problem

_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def parsed(body: bytes) -> dict[str, Any]:
    """Read a JSON object. Half surrogate pairs become U+FFFD; of equal keys the last one counts.

    Raises `Problem` for anything else than an object, and for NaN, infinity and bytes that are not UTF-8.
    """
    try:
        text = body.decode("utf-8-sig")
        found = _load(text)
        if _SURROGATE_ESCAPE.search(text):
            # Replaced in the text, so that nesting and position do not matter, keys included.
            found = _load(_SURROGATE.sub("\ufffd", json.dumps(found, ensure_ascii=False)))
    except UnicodeDecodeError:
        raise Problem(Fault.NOT_JSON, "the body is not UTF-8") from None
    except RecursionError:
        raise Problem(Fault.NOT_JSON, "the body is nested too deeply") from None
    except ValueError as error:
        raise Problem(Fault.NOT_JSON, f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Problem(Fault.NOT_JSON, "the body is not a JSON object")
    return found


def written(answer: object) -> bytes:
    """Write JSON. Raises `Problem` for an object that was read but is nested too deeply to be written."""
    try:
        return json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except RecursionError:
        raise Problem(Fault.NOT_JSON, "the body is nested too deeply") from None


def _load(text: str) -> Any:
    return json.loads(text, parse_float=_finite, parse_constant=_finite)


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise ValueError(f"{literal[:20]} is not a number")
    return value
