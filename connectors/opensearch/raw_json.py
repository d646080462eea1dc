"""Take JSON apart one level at a time and join it again; what is not replaced keeps its very bytes.

`0.10`, `1e400` and 25-digit numbers come out as they went in, because no value is turned into a Python one. White
space between the keys of a level that was taken apart is lost; that inside values is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

Value = TypeVar("Value")

# Each escape of a JSON string in turn; group 1 is a surrogate that has no partner.
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_VEILED = re.compile(rb"\xffu....", re.DOTALL)
# The same as bytes, which UTF-8 never holds, and OpenSearch takes.
_RAW_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_STRING = msgspec.json.Decoder(str)


class Malformed(ValueError):
    """These bytes are not the JSON that was expected."""


def members(data: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """Split an object into its values by key, in order, each as its bytes. Raises `Malformed`."""
    return _decoded(_OBJECT, data)


def elements(data: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """Split an array into its values, each as its bytes. Raises `Malformed`."""
    return _decoded(_ARRAY, data)


def text(data: bytes | msgspec.Raw) -> str:
    """Decode a string; a lone surrogate becomes U+FFFD, which every tokenizer takes. Raises `Malformed`."""
    return _decoded(_STRING, mended(bytes(data)))


def joined(parts: Mapping[str, msgspec.Raw]) -> bytes:
    """Write the object with these values."""
    return msgspec.json.encode(parts)


def escape_surrogates(data: bytes) -> bytes:
    r"""Hide lone surrogates (`\ud83d`) from msgspec, which takes none; `unveiled` brings them back.

    A crawled corpus holds some, and one such document must not cost its whole page the reranking. The backslash becomes
    0xFF, a byte that UTF-8 never holds, so the way back is exact.
    """
    if b"\xff" in data:
        raise Malformed("not UTF-8")
    if not _SURROGATE.search(data):
        return data
    return _ESCAPE.sub(lambda escape: b"\xff" + escape[1] if escape[1] else escape[0], data)


def restore_surrogates(data: bytes) -> bytes:
    """Undo `veiled`."""
    return data.replace(b"\xff", b"\\")


def mended(data: bytes) -> bytes:
    """Write U+FFFD for what `veiled` hid, and for surrogates as bytes: for readers that take no lone surrogate."""
    shown = _VEILED.sub(rb"\\ufffd", data) if b"\xff" in data else data
    return _RAW_SURROGATE.sub(b"\xef\xbf\xbd", shown) if b"\xed" in shown else shown


def _decoded(decoder: msgspec.json.Decoder[Value], data: bytes | msgspec.Raw) -> Value:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from error
