"""Write output files that appear complete or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from sidecar.core.compression import compressing
from sidecar.core.errors import InputError


@contextmanager
def atomic_write(path: Path) -> Iterator[TextIO]:
    """Open a UTF-8 text file that replaces `path` if the block succeeds and is removed if it fails.

    A name ending in `.gz`, `.zst`, `.bz2` or `.xz` is compressed. Raises `InputError` if the folder can't be written
    to, or the disk is full.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        binary = partial.open("wb")
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror}.") from None
    try:
        raw = compressing(binary, path.suffix)
        with binary, raw, io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as text:
            yield text
            text.flush()
        partial.replace(path)
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror or error}.", remedy="Is the disk full?") from error
    finally:
        partial.unlink(missing_ok=True)
