"""Read JSON, one object a line or one array of objects, by the same rules for every kind of file.

* NaN, Infinity and numbers too large for a double are refused: they are not JSON, and readers disagree about them.
* An object with a duplicate key is refused: readers differ in which of the values they take.
* Half of a surrogate pair, which JSON can escape but UTF-8 cannot hold, is read as U+FFFD.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from sidecar.core.errors import InputError
from sidecar.core.surrogates import replace_lone_surrogates
from sidecar.core.text_lines import numbered_lines

Decoded = TypeVar("Decoded")

_ARRAYS = msgspec.json.Decoder(list[msgspec.Raw])
_ONE_A_LINE = "Each line holds one JSON object."


def records(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each line of a file, or each element of the array that is its content, as (place, bytes).

    Lines are streamed; an array is read whole. Lines of text are yielded unchanged. Raises `InputError` like
    `numbered_lines`, and for an array that can't be parsed.
    """
    lines = numbered_lines(path)
    first = next(lines, None)
    if first is None:
        return
    found: Iterator[tuple[str, bytes]] = chain([first], lines)
    if first[1].lstrip().startswith(b"["):
        found = _elements(path, b"\n".join(line for _, line in found))
    for place, line in found:
        # Most lines have no escape, and every line of a corpus of millions passes here.
        halves = b"\\u" in line and (b"\\ud" in line or b"\\uD" in line) and is_object(line)
        yield place, _whole_surrogates(line) if halves else line


def is_object(line: bytes) -> bool:
    """True if a line is meant as a JSON object."""
    return line.lstrip().startswith(b"{")


def parse(line: bytes, place: str, decoder: msgspec.json.Decoder[Decoded], *, what: str, remedy: str) -> Decoded:
    """Decode one object strictly. Raises `InputError`: `PLACE: WHAT: the reason`."""
    try:
        json.loads(line, object_pairs_hook=_keys_once, parse_constant=_refuse_constant)
        return decoder.decode(line)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise InputError(f"{place}: {what}: {_reason(error)}.", remedy=remedy) from None


def parse_object(line: bytes, place: str) -> dict[str, Any]:
    """Parse one object with any keys. Raises `InputError`."""
    if not is_object(line):
        raise InputError(f"{place}: not a JSON object but {_kind(line, place)}.", remedy=_ONE_A_LINE)
    try:
        found: dict[str, Any] = json.loads(
            line, object_pairs_hook=_keys_once, parse_constant=_refuse_constant, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not JSON: {_reason(error)}.", remedy=_ONE_A_LINE) from None
    return found


def _elements(path: Path, content: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        found = _ARRAYS.decode(_whole_surrogates(content))
    except msgspec.DecodeError as error:
        raise InputError(
            f"{path}: not a JSON array: {error}.", remedy="Give one JSON object a line, or one array of objects."
        ) from None
    for number, element in enumerate(found, start=1):
        yield f"{path}, element {number}", bytes(element)


def _whole_surrogates(line: bytes) -> bytes:
    return replace_lone_surrogates(line, lambda _: rb"\ufffd")


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for at, key in enumerate(keys) if key in keys[:at])
        raise ValueError(f"the key {twice!r} occurs twice")
    return found


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"the number {number} is too large")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON: write null, or leave the field out")


def _reason(error: Exception) -> str:
    return "it is nested too deep" if isinstance(error, RecursionError) else str(error).removesuffix(".")


def _kind(line: bytes, place: str) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not JSON: {_reason(error)}.", remedy=_ONE_A_LINE) from None
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return kinds.get(type(value), "null")
