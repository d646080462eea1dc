"""Two runs to report on."""

from __future__ import annotations

import pytest

from tests.support.report_files import write_lists, write_run


@pytest.fixture
def two(tmp_path):
    """A first stage, and the same hits reranked by a model's scores alone."""
    first = write_run(tmp_path / "first.trec", {"q1": ["b", "a", "z"], "q2": ["d", "c"], "q4": ["e"]})
    lists = {
        "q1": ("how long", [("a", 3.0, 2), ("b", 1.0, 1), ("z", 0.5, 3)]),
        "q2": ("which one", [("c", 2.0, 2), ("d", 1.5, 1)]),
        "q4": ("not judged", [("e", 0.0, 1)]),
    }
    return [first, write_lists(tmp_path / "model.jsonl", lists)]
