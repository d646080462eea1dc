"""The names that the page offers: what can be searched, and nothing of OpenSearch's own."""

from __future__ import annotations

import pytest

from sidecar.serving.ui.index_names import index_names


def test_indexes_aliases_and_data_streams_are_listed_once_each_in_order():
    answer = b"""{"indices": [{"name": "papers", "aliases": ["all"], "attributes": ["open"]},
        {"name": ".tasks", "attributes": ["open"]},
        {"name": ".ds-logs-000001", "attributes": ["open"], "data_stream": "logs"}],
        "aliases": [{"name": "all", "indices": ["papers"]}, {"name": "papers", "indices": ["papers"]}],
        "data_streams": [{"name": "logs", "backing_indices": [".ds-logs-000001"], "timestamp_field": "@timestamp"}]}"""
    assert index_names(answer) == ["all", "logs", "papers"]


@pytest.mark.parametrize(
    "answer", [b"", b"Unauthorized", b"[]", b'{"indices": null}', b'{"indices": [{"name": 1}]}', b'"\xff"', b"{}"]
)
def test_an_answer_of_another_shape_lists_nothing(answer):
    assert index_names(answer) == []
