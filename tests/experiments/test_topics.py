"""Topics from both kinds of files."""

from __future__ import annotations

import pytest

from sidecar.errors import InputError
from sidecar.experiments.topics import read_topics


def read(folder, text):
    path = folder / "topics"
    path.write_text(text, encoding="utf-8")
    return list(read_topics(path))


@pytest.mark.parametrize(
    "text",
    [
        "1\tred fox\n2\ta dog\twith a tab\n",
        '{"_id": "1", "text": "red fox"}\n{"_id": 2, "text": "a dog\\twith a tab"}\n',
        '{"qid": 1, "query": "red fox"}\n{"query_id": "2", "title": "a dog\\twith a tab", "query": null}\n',
    ],
)
def test_topics(tmp_path, text):
    assert read(tmp_path, text) == [("1", "red fox"), ("2", "a dog\twith a tab")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\tfox\n2 dog\n", "topics:2: no topic"),
        ("1\tfox\n1\tdog\n", "topics:2: the query '1' was there before"),
        ("1\t \n", "topics:1: the query '1' is empty"),
        ("\tfox\n", "topics:1: '' is no query id"),
        ('{"_id": "1"}\n', "topics:1: no text"),
        ('{"text": "fox"}\n', "topics:1: no id"),
        ("{broken\n", "topics:1: no JSON object"),
    ],
)
def test_a_malformed_topic_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)
