"""A search body with a placeholder for the query."""

from __future__ import annotations

import json

import pytest

from connectors.opensearch.rewrite.body_template import parse_template
from sidecar.core.errors import ConfigurationError

BODY = {
    "query": {
        "bool": {"must": [{"match": {"text": {"query": "{{query}}"}}}], "should": {"match": {"title": "{{query}}"}}}
    },
    "_source": ["title", "text"],
    "ext": {"other": 1},
}


def test_every_placeholder_is_the_query_as_a_json_value():
    text = 'a "quoted"\\ {{query}} fox\n'
    found = parse_template(json.dumps(BODY).encode(), "body.json").filled(text, 50)
    assert found == {
        "query": {"bool": {"must": [{"match": {"text": {"query": text}}}], "should": {"match": {"title": text}}}},
        "_source": ["title", "text"],
        "ext": {"other": 1, "rerank": {"query_context": {"query_text": text}}},
        "size": 50,
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "body.json is no search body: Expecting"),
        ("[]", "body.json is no search body"),
        ('{"query": {"match_all": {}}}', "has no value '{{query}}'"),
        ('{"query": {"query_string": {"query": "title:{{query}}"}}}', "is a part of 'title:{{query}}'"),
        ('{"{{query}}": "{{query}}"}', "stands in a key"),
        ('{"query": "{{query}}", "query": 1}', "a key occurs twice"),
        ('{"query": "{{query}}", "size": 5}', "has 'size', but --hits decides"),
        ('{"query": "{{query}}", "from": 5}', "has 'from', but a run has no pages"),
        ('{"query": "{{query}}", "ext": {"rerank": {}}}', "has ext.rerank, which the run sets"),
        ('{"query": "{{query}}", "ext": 1}', "has ext.rerank"),
    ],
)
def test_a_body_that_would_not_be_what_is_meant_is_refused(content, message):
    with pytest.raises(ConfigurationError, match=message.replace("{", r"\{").replace("}", r"\}")):
        parse_template(content.encode(), "body.json")
