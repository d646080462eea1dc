"""Reading line by line from plain and gzipped text, with positions for error messages."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from sidecar.errors import InputError


def numbered_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each line that is not blank as (`FILE:NUMBER`, its bytes without the line end), streaming.

    Raises `InputError` if the file is not there or is no valid gzip.
    """
    try:
        with path.open("rb") as binary:
            compressed = binary.read(2) == b"\x1f\x8b"
            binary.seek(0)
            stream = io.BufferedReader(gzip.GzipFile(fileobj=binary)) if compressed else binary
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield f"{path}:{number}", line.rstrip(b"\r\n")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged: {error}.", remedy="Fetch or write the file again.") from None
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}.") from None
