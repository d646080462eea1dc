"""A search body of one's own for many queries: a placeholder stands for the text of each query. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sidecar.core.errors import ConfigurationError

PLACEHOLDER = "{{query}}"
# The run decides on these.
_RESERVED = {"from": "a run has no pages", "size": "--hits decides how many hits there are"}


@dataclass(frozen=True, slots=True)
class BodyTemplate:
    """A search body whose values `"{{query}}"` are replaced by the text of a query; `values` is its JSON."""

    values: dict[str, Any]

    def filled(self, query: str, size: int) -> dict[str, Any]:
        """Return the body of a query, for `size` hits; `ext.rerank` names the query, whatever clauses it is in."""
        body: dict[str, Any] = _replaced(self.values, query)
        ext = {**body.get("ext", {}), "rerank": {"query_context": {"query_text": query}}}
        return {**body, "size": size, "ext": ext}


def parse_template(content: bytes, source: str) -> BodyTemplate:
    """Parse a template; `source` names it in messages.

    Raises `ConfigurationError` if it is no JSON object, if no value is the placeholder, if the placeholder is only a
    part of a value or stands in a key, and for `from`, `size` and `ext.rerank`, which a run sets.
    """
    try:
        values = json.loads(content, object_pairs_hook=_keys_once)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{source} is no search body: {error}.", remedy="It must be one JSON object."
        ) from None
    if not isinstance(values, dict):
        raise ConfigurationError(f"{source} is no search body.", remedy="It must be one JSON object.")
    found: list[str] = []
    _each_text(values, found.append)
    parts = [text for text in found if PLACEHOLDER in text and text != PLACEHOLDER]
    if parts:
        raise ConfigurationError(
            f"{source}: {PLACEHOLDER} is a part of {parts[0][:80]!r}.",
            remedy=f'The placeholder must be a whole value: {{"match": {{"text": "{PLACEHOLDER}"}}}}.',
        )
    if PLACEHOLDER not in found:
        raise ConfigurationError(
            f"{source} has no value {PLACEHOLDER!r}, so every query would get the same hits.",
            remedy=f'Write "{PLACEHOLDER}" where the text of the query belongs.',
        )
    for name, reason in _RESERVED.items():
        if name in values:
            raise ConfigurationError(f"{source} has {name!r}, but {reason}.", remedy="Leave it out.")
    if not isinstance(values.get("ext", {}), dict) or "rerank" in values.get("ext", {}):
        raise ConfigurationError(f"{source} has ext.rerank, which the run sets.", remedy="Leave it out.")
    return BodyTemplate(values)


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    if any(PLACEHOLDER in key for key in found):
        raise ValueError(f"{PLACEHOLDER} stands in a key")
    return found


def _each_text(value: object, see: Callable[[str], None]) -> None:
    if isinstance(value, str):
        see(value)
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            _each_text(one, see)


def _replaced(value: Any, query: str) -> Any:
    if isinstance(value, dict):
        return {name: _replaced(one, query) for name, one in value.items()}
    if isinstance(value, list):
        return [_replaced(one, query) for one in value]
    return query if value == PLACEHOLDER else value
