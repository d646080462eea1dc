"""Spans in the highlight of real hits: escaped as OpenSearch escapes, beside its own highlights of other fields."""

from __future__ import annotations

import uuid

import pytest

from tests.support.servers.served import served

pytestmark = pytest.mark.live
# The scripted scorer reads the number of a sentence.
TEXT = "score 1, a fox & <b>'dog'</b>. Score 9 \"cats\" / fox. Dogs."
ESCAPED = (
    "score 1, a fox &amp; &lt;b&gt;&#x27;dog&#x27;&lt;&#x2F;b&gt;. "
    "<mark>Score 9 &quot;cats&quot; &#x2F; fox.</mark> Dogs."
)


@pytest.fixture
def index(client):
    name = f"spans-{uuid.uuid4().hex[:8]}"
    client.index(index=name, id="1", body={"title": "The fox", "text": TEXT}, refresh=True)
    yield name
    client.indices.delete(index=name)


def highlight(service, index, spans):
    body = {
        "query": {"multi_match": {"query": "fox", "fields": ["title", "text"]}},
        "highlight": {
            "encoder": "html",
            "pre_tags": ["<mark>"],
            "post_tags": ["</mark>"],
            "number_of_fragments": 0,
            "fields": {"title": {}, "text": {}},
        },
        "ext": {"rerank": {"spans": spans}},
    }
    answer = service.search(index, body)
    assert answer.headers["x-rerank-status"] == "applied"
    [hit] = answer.json()["hits"]["hits"]
    return hit["highlight"]


def test_spans_replace_the_words_of_the_fields_that_the_model_reads(index, opensearch_url):
    with served(opensearch_url) as service:
        own = highlight(service, index, spans=False)
        ours = highlight(service, index, spans={"output": "highlight", "max_spans": 1})
    assert ours == {"title": ["The <mark>fox</mark>"], "text": [ESCAPED]}
    assert own["title"] == ours["title"]
    assert without_tags(own["text"][0]) == without_tags(ESCAPED)


def without_tags(text):
    return text.replace("<mark>", "").replace("</mark>", "")
