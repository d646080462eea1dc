"""The tags of a search's own highlight, as OpenSearch reads them."""

from __future__ import annotations

import json

import pytest

from connectors.opensearch.rewrite.highlight_tags import Tags, highlight_tags
from connectors.opensearch.rewrite.search_body import SearchBody
from sidecar.core.errors import InputError


def tags_of(highlight, field="text"):
    return highlight_tags(SearchBody(json.dumps({"highlight": highlight}).encode()).members).of(field)


def test_without_a_highlight_they_are_opensearchs_default():
    assert highlight_tags(SearchBody(b"{}").members).of("text") == Tags("<em>", "</em>", html=False)


@pytest.mark.parametrize(
    ("highlight", "expected"),
    [
        ({"fields": {"text": {}}}, Tags("<em>", "</em>")),
        ({"pre_tags": ["<b>"], "post_tags": ["</b>"]}, Tags("<b>", "</b>")),
        ({"pre_tags": ["<b>", "<i>"], "post_tags": ["</b>", "</i>"]}, Tags("<b>", "</b>")),
        ({"tags_schema": "styled"}, Tags('<em class="hlt1">', "</em>")),
        ({"encoder": "html"}, Tags("<em>", "</em>", html=True)),
        ({"pre_tags": ["<b>"], "post_tags": ["</b>"], "fields": {"text": {"pre_tags": ["["]}}}, Tags("[", "</b>")),
        ({"fields": [{"title": {"pre_tags": ["("]}}, {"text": {"pre_tags": ["["]}}]}, Tags("[", "</em>")),
        ({"fields": {"te*": {"pre_tags": ["*"]}, "text": {"pre_tags": ["["]}}}, Tags("[", "</em>")),
        ({"fields": {"title": {"pre_tags": ["("]}, "t*": {"pre_tags": ["*"]}}}, Tags("*", "</em>")),
        ({"pre_tags": None, "order": "score", "fields": {"text": {"type": "plain"}}}, Tags("<em>", "</em>")),
        ({"pre_tags": [], "post_tags": []}, Tags("<em>", "</em>")),
    ],
)
def test_the_tags_of_a_field(highlight, expected):
    assert tags_of(highlight) == expected


@pytest.mark.parametrize(
    "highlight", [3, [], {"pre_tags": "<b>"}, {"encoder": "xml"}, {"fields": "text"}, {"tags_schema": "loud"}]
)
def test_a_malformed_highlight_is_refused(highlight):
    with pytest.raises(InputError, match=r"^highlight: "):
        tags_of(highlight)
