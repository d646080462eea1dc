"""Find the files in a folder: a BEIR data set, or a collection that is split into many files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sidecar.core.compression import SUFFIXES
from sidecar.core.errors import InputError

# BEIR's own loader takes this split by default.
SPLIT = "test"
_COLLECTION = (".json", ".jsonl", ".tsv")


def corpus_files(path: Path) -> list[Path]:
    """Return the files of a corpus: the file itself, a BEIR folder's `corpus.jsonl`, or all files of a collection.

    A collection's files (`.json`, `.jsonl`, `.tsv`, compressed or not) are sorted by name. Raises `InputError` if a
    folder has none.
    """
    if not path.is_dir():
        return [path]
    corpus = _first(_names(path / "corpus.jsonl"))
    if corpus is not None:
        return [corpus]
    found = sorted(file for file in _visible(path) if _kind(file) in _COLLECTION)
    if not found:
        raise InputError(
            f"the folder {path} holds no corpus.",
            remedy="A BEIR folder has corpus.jsonl; a collection has files that end in .json, .jsonl or .tsv.",
        )
    return found


def query_file(path: Path) -> Path:
    """Return a BEIR folder's `queries.jsonl`, or the file itself. Raises `InputError` if a folder has none."""
    if not path.is_dir():
        return path
    found = _first(_names(path / "queries.jsonl"))
    if found is None:
        raise InputError(f"the folder {path} has no queries.jsonl.", remedy="Name a file, or the folder of a BEIR set.")
    return found


def qrels_file(path: Path) -> Path:
    """Return a BEIR folder's judgements, or the file itself.

    They are `qrels/test.tsv`, which BEIR's own loader takes, or the only file in `qrels/`, or `qrels.tsv`. Raises
    `InputError` if there is none, or if there are several others.
    """
    if not path.is_dir():
        return path
    found = _first([*_names(path / "qrels" / f"{SPLIT}.tsv"), *_names(path / "qrels.tsv")])
    if found is not None:
        return found
    splits = sorted(file for file in _visible(path / "qrels") if _kind(file) == ".tsv")
    if len(splits) == 1:
        return splits[0]
    several = f"several: {', '.join(file.name for file in splits)}" if splits else "none"
    raise InputError(
        f"of the qrels in {path}, {SPLIT}.tsv is wanted and there are {several}.", remedy="Name the file itself."
    )


def files_in(path: Path) -> list[Path]:
    """Return all readable files of a folder, sorted by name; for a file, the file itself."""
    if not path.is_dir():
        return [path]
    return sorted([*_visible(path), *_visible(path / "qrels")])


def _names(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("", *SUFFIXES)]


def _first(files: Iterable[Path]) -> Path | None:
    return next((file for file in files if file.is_file()), None)


def _visible(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")]


def _kind(file: Path) -> str:
    """Return the suffix that precedes a compression suffix."""
    return (file.with_suffix("") if file.suffix in SUFFIXES else file).suffix
