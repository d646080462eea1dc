"""A Lucene index's content is identified by its newest commit."""

from __future__ import annotations

import shutil

import pytest

from connectors.pyserini.commits import index_commit
from sidecar.core.errors import IndexNotFound


def test_the_newest_commit_counts(tmp_path):
    (tmp_path / "segments_9").write_bytes(b"nine")
    first = index_commit(tmp_path)
    (tmp_path / "segments_a").write_bytes(b"ten")  # base 36
    second = index_commit(tmp_path)
    assert first != second
    (tmp_path / "segments_9").unlink()
    shutil.copytree(tmp_path, tmp_path / "copy")
    assert index_commit(tmp_path / "copy") == second


def test_a_folder_without_one_is_no_index(tmp_path):
    with pytest.raises(IndexNotFound, match="no Lucene index"):
        index_commit(tmp_path)
