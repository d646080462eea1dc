"""The first stage of the demo where pyserini is not installed: the full-text search of SQLite."""

from __future__ import annotations

import pytest

from sidecar.cli.demo_search import demo_search
from sidecar.core.candidates import Passage
from sidecar.core.corpus import Document

DOCUMENTS = [
    Document("open", "open", "Open a file and return a stream."),
    Document("close", "close", "Close the file. Files that are closed cannot be read."),
    Document("sleep", "sleep", "Wait for some seconds."),
]


@pytest.fixture
def search(tmp_path):
    with demo_search(DOCUMENTS, tmp_path, lucene=False, k1=0.9, b=0.4) as made:
        yield made


def test_words_are_stemmed_and_the_better_hit_comes_first(search):
    found = search.candidates("closing files", 10)
    assert [(one.docid, one.rank) for one in found] == [("close", 1), ("open", 2)]
    assert found[0].score > found[1].score > 0
    assert found[1].passage == Passage("open", "Open a file and return a stream.")
    assert [one.docid for one in search.candidates("closing files", 1)] == ["close"]


@pytest.mark.parametrize("question", ["", "the a of", "\"'*^:()", "unknown"])
def test_a_question_without_a_word_that_occurs_has_no_hits(search, question):
    assert list(search.candidates(question, 10)) == []


@pytest.mark.parametrize("question", ['sleep" AND "', "NEAR(sleep file)", "sleep*", "title:sleep", "-sleep", "SLEEP?"])
def test_the_syntax_of_sqlite_is_read_as_words(search, question):
    assert search.candidates(question, 10)[0].docid == "sleep"
