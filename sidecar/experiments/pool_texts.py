"""The whole texts of documents by their ids, from candidate files and corpora."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from sidecar.core.corpus import read_corpus
from sidecar.core.documents import PassageFields
from sidecar.experiments.candidate_files import read_candidates


def passages_of(
    docids: Collection[str], lists: Sequence[Path], corpora: Sequence[Path], fields: PassageFields
) -> dict[str, str]:
    """Return title and text of each document that a file has, the first that is found. Raises `InputError`."""
    wanted, found = set(docids), dict[str, str]()
    for path in lists:
        for one in read_candidates(path, fields):
            for candidate in one.candidates:
                if candidate.docid in wanted:
                    _keep(found, candidate.docid, candidate.passage.title, candidate.passage.text)
    for path in corpora:
        for document in read_corpus(path):
            if document.docid in wanted:
                _keep(found, document.docid, document.title, document.text)
    return found


def _keep(found: dict[str, str], docid: str, title: str, text: str) -> None:
    whole = "\n".join(part for part in (title.strip(), text.strip()) if part)
    if whole and docid not in found:
        found[docid] = whole
