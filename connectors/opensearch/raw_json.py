"""Splits JSON one level at a time and joins it again; values that are not replaced keep their bytes.

`0.10`, `1e400` and 25-digit numbers come out as they went in, because no value becomes a Python one. White space
between the keys of a level that was split is lost; white space inside values is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from sidecar.core.surrogates import replace_lone_surrogates

Value = TypeVar("Value")

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPED = re.compile(rb"\xffu....", re.DOTALL)
# A surrogate as bytes, which UTF-8 never holds, and OpenSearch accepts.
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
    """Decode a string; a lone surrogate becomes U+FFFD, which every tokenizer accepts. Raises `Malformed`."""
    return _decoded(_STRING, mended(bytes(data)))


def joined(parts: Mapping[str, msgspec.Raw]) -> bytes:
    """Write the object with these values."""
    return msgspec.json.encode(parts)


def escape_surrogates(data: bytes) -> bytes:
    r"""Hide lone surrogates (`\ud83d`) from msgspec, which accepts none; `restore_surrogates` brings them back.

    A crawled corpus holds some, and one such document must not keep its whole page from being reranked. The backslash
    becomes 0xFF, a byte that UTF-8 never holds, so the way back is exact. Raises `Malformed` for bytes that are not
    UTF-8.
    """
    if b"\xff" in data:
        raise Malformed("not UTF-8")
    if not _SURROGATE.search(data):
        return data
    return replace_lone_surrogates(data, lambda escape: b"\xff" + escape)


def restore_surrogates(data: bytes) -> bytes:
    """Undo `escape_surrogates`."""
    return data.replace(b"\xff", b"\\")


def mended(data: bytes) -> bytes:
    """Write U+FFFD for escaped surrogates and for surrogates as bytes: for readers that accept no lone surrogate."""
    shown = _ESCAPED.sub(rb"\\ufffd", data) if b"\xff" in data else data
    return _RAW_SURROGATE.sub(b"\xef\xbf\xbd", shown) if b"\xed" in shown else shown


def _decoded(decoder: msgspec.json.Decoder[Value], data: bytes | msgspec.Raw) -> Value:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from error
