"""Write output files that appear complete or not at all."""

from __future__ import annotations

import io
import os
import stat
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
    to, if the disk is full, and what `check_replaceable` raises.
    """
    check_replaceable(path)
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


def check_replaceable(path: Path) -> None:
    """Raise `InputError` if `path` is a device, a pipe, or the file that stdout or stderr goes to.

    A complete file would take its place: /dev/null would be a file from then on.
    """
    try:
        found = path.stat()
    except OSError:  # there is none yet, or writing will tell
        return
    special = not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode))
    if special or any(_is_open(descriptor, found) for descriptor in (1, 2)):
        raise InputError(
            f"can't write {path}: a complete file replaces its output, and this is a device, a pipe, or stdout.",
            remedy="Name a file.",
        )


def _is_open(descriptor: int, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), found)
    except OSError:  # it is closed
        return False
