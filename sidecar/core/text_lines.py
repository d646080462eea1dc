"""Read text line by line, with positions for error messages; the only module that opens the text files of users.

Text is UTF-8. Compression, a byte order mark and Windows line ends make no difference; any other encoding is refused.
"""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from sidecar.core.compression import DAMAGED, decompressed
from sidecar.core.errors import InputError

# UTF-32's marks begin with UTF-16's, so they are tested first.
_OTHER_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def numbered_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each line that is not blank as (`FILE:NUMBER`, its UTF-8 bytes without mark and line end), streamed.

    Reads plain, gzip, zstd, bzip2 and xz files. Raises `InputError` if the file does not exist, is damaged, or is not
    UTF-8 text.
    """
    try:
        with path.open("rb") as binary:
            stream = decompressed(binary, path)
            _refuse_other_encodings(stream.peek(4)[:4], path)
            name = str(path)
            for number, raw in enumerate(stream, start=1):
                line = raw.rstrip(b"\r\n")
                if not line.isascii() or b"\0" in line:
                    _refuse_no_text(line, f"{name}:{number}")
                    # A joined file may have a mark in the middle.
                    line = line.removeprefix(codecs.BOM_UTF8)
                if line and not line.isspace():
                    yield f"{name}:{number}", line
    except DAMAGED as error:
        raise _damaged(path, error) from None
    except OSError as error:
        if error.errno is None:
            raise _damaged(path, error) from None
        raise InputError(f"can't read {path}: {error.strerror}.") from None


def fits_column(text: str) -> bool:
    """True if a text can be one column of a TREC file: not empty, without white space or line breaks."""
    return text.split() == [text]


def names_columns(columns: Sequence[str], *known: Collection[str]) -> bool:
    """True if the columns of a first line are a header: as many as `known`, each one of its names."""
    return len(columns) == len(known) and all(
        column.strip().lower() in names for column, names in zip(columns, known, strict=True)
    )


def _refuse_other_encodings(head: bytes, path: Path) -> None:
    name = next((name for mark, name in _OTHER_ENCODINGS.items() if head.startswith(mark)), None)
    if name is not None:
        raise InputError(
            f"{path} is {name}.", remedy=f"Convert it to UTF-8: iconv -f {name.lower()} -t utf-8 {path.name} > …"
        )


def _refuse_no_text(line: bytes, place: str) -> None:
    if b"\0" in line:
        raise InputError(f"{place}: a zero byte: this is UTF-16, or not text.", remedy="Give text in UTF-8.")
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{place}: not UTF-8: byte 0x{line[error.start]:02x} at position {error.start + 1}.",
            remedy="Convert the file to UTF-8; from Latin-1: iconv -f latin1 -t utf-8 …",
        ) from None


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is damaged: {error}.", remedy="Fetch or write the file again.")
