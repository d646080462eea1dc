"""Compressed files: gzip, zstd, bzip2 and xz. Reading recognises them by their first bytes, writing by the suffix."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import sys
import zlib
from pathlib import Path
from typing import IO, cast

from sidecar.core.errors import InputError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUFFIXES = (".gz", ".zst", ".bz2", ".xz")
# Errors that the readers raise for a truncated or changed file. bz2 raises an OSError without a number.
DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError)

_GZIP = re.compile(rb"\x1f\x8b")
_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")  # a frame, or a skippable one as pzstd writes first
_BZIP2 = re.compile(rb"BZh[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)")
_XZ = re.compile(rb"\xfd7zXZ\x00")
_OTHERS = {
    b"PK\x03\x04": "a zip archive",
    b"PAR1": "a Parquet file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x04\x22\x4d\x18": "an lz4 file",
    b"\x1f\x9d": "a file of `compress`",
}


def decompressed(binary: io.BufferedReader, path: Path) -> io.BufferedReader:
    """Wrap an open file so that it reads decompressed. Raises `InputError` for other formats, by name."""
    head = binary.peek(16)[:16]
    other = next((name for magic, name in _OTHERS.items() if head.startswith(magic)), None)
    if other is not None:
        raise InputError(f"{path} is {other}.", remedy=f"Give it unpacked, or as {', '.join(SUFFIXES)}.")
    if _GZIP.match(head):
        return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=binary)))
    if _ZSTD.match(head):
        return io.BufferedReader(cast("io.RawIOBase", zstd.ZstdFile(binary)))
    if _BZIP2.match(head):
        return io.BufferedReader(cast("io.RawIOBase", bz2.BZ2File(binary)))
    if _XZ.match(head):
        return io.BufferedReader(cast("io.RawIOBase", lzma.LZMAFile(binary)))
    return binary


def compressing(binary: IO[bytes], suffix: str) -> IO[bytes]:
    """Wrap a file open for writing so that it compresses as its suffix says. Equal content gives equal bytes."""
    if suffix == ".gz":
        return cast("IO[bytes]", gzip.GzipFile(filename="", fileobj=binary, mode="wb", mtime=0))
    if suffix == ".zst":
        # The program `zstd` writes a checksum, too; without it a changed file may not be noticed.
        return cast("IO[bytes]", zstd.ZstdFile(binary, "wb", options={zstd.CompressionParameter.checksum_flag: 1}))
    if suffix == ".bz2":
        return bz2.BZ2File(binary, "wb")
    if suffix == ".xz":
        return lzma.LZMAFile(binary, "wb")
    return binary
