"""Text wherever an index keeps it: found in the mapping, read by `fields` or `stored_fields`, or refused by name."""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest
from opensearchpy import AsyncOpenSearch

from connectors.opensearch import AsyncRerankingClient, MultiSearchRequest, RerankingClient, SearchRequest
from sidecar.core.documents import PassageFields
from tests.support.live.foxes import direct, without_took
from tests.support.rerankers import ByLength

pytestmark = pytest.mark.live

TEXT = {"type": "text"}
QUERY = {"match": {"title": "fox"}}
DOCS = 12


def long_text(i):
    return "fox " + "x" * (i * 5 % DOCS + 60)


@pytest.fixture(scope="module")
def made(client):
    """Make an index of these properties, with documents of `title` and what `source` gives; it goes in the end."""
    names = []

    def make(properties, source, **mappings):
        name = f"fields-{uuid.uuid4().hex[:8]}"
        body = {"mappings": {"properties": {"title": TEXT, **properties}, **mappings}}
        client.indices.create(index=name, body={"settings": {"number_of_shards": 1, "number_of_replicas": 0}, **body})
        names.append(name)
        for i in range(DOCS):
            client.index(index=name, id=str(i), body={"title": "a fox", **source(i)})
        client.indices.refresh(index=name)
        return name

    yield make
    client.indices.delete(index=",".join(names))


def searched(client, index, fields=None, **body):
    reranking = RerankingClient(client, ByLength(), window=50, fields=fields)
    answer = reranking.rerank(SearchRequest(index, {"query": QUERY, "size": DOCS, **body}))
    return reranking, answer


def lengths(answer):
    return [len(hit.candidate.passage.text) for hit in answer.ranking.hits]


FALLING = sorted((64 + i for i in range(DOCS)), reverse=True)


def test_where_no_default_field_is_mapped_the_mappings_text_fields_are_read(client, made):
    properties = {"body": {"properties": {"en": TEXT}}, "tag": {"type": "keyword"}, "abstract": TEXT}
    index = made(properties, lambda i: {"body": {"en": long_text(i)}, "tag": "t", "abstract": "short"})
    reranking, answer = searched(client, index)
    assert lengths(answer) == [length + len("short\n") for length in FALLING]
    assert answer.fields == ("title", "abstract", "body.en")
    said = f"{index} has none of the default text fields; read are those of its mapping: abstract, body.en"
    assert (answer.skipped, answer.warning) == (None, said)
    # It is remembered, and what the caller hides stays hidden.
    again = reranking.rerank(SearchRequest(index, {"query": QUERY, "size": DOCS, "_source": ["tag"]}))
    assert (lengths(again), again.warning) == (lengths(answer), said)
    whole = direct(client, index, {"query": QUERY, "size": DOCS, "_source": ["tag"]})
    by_id = {hit["_id"]: hit["_source"] for hit in json.loads(whole)["hits"]["hits"]}
    assert {hit["_id"]: hit["_source"] for hit in json.loads(again.body)["hits"]["hits"]} == by_id
    assert b'"fields"' not in again.body


def test_fields_that_were_chosen_are_never_replaced(client, made):
    index = made({"story": TEXT}, lambda i: {"story": long_text(i)})
    _, answer = searched(client, index, PassageFields(text=("abstract",)))
    assert answer.fields == ("title",)
    assert answer.warning == f"{index} has no field abstract; its text fields are story"
    _, answer = searched(client, index, PassageFields(text=("story",)))
    assert (answer.fields, answer.warning) == (("title", "story"), None)


def test_an_index_that_has_titles_alone_is_ranked_by_them_without_a_word(client, made):
    index = made({"tag": {"type": "keyword"}}, lambda _: {"tag": "t"})
    _, answer = searched(client, index)
    assert (answer.fields, answer.warning, answer.skipped) == (("title",), None, None)


KINDS = {
    "alias": ({"body": TEXT, "story": {"type": "alias", "path": "body"}}, {}, "body", "story"),
    "multi-field": ({"body": {"type": "text", "fields": {"en": TEXT}}}, {}, "body", "body.en"),
    "excluded": ({"story": {"type": "text", "store": True}}, {"_source": {"excludes": ["story"]}}, "story", "story"),
    "included": ({"story": {"type": "text", "store": True}}, {"_source": {"includes": ["title"]}}, "story", "story"),
    "sourceless": ({"story": {"type": "text", "store": True}}, {"_source": {"enabled": False}}, "story", "story"),
    "copied and stored": (
        {"body": {"type": "text", "copy_to": "story"}, "story": {"type": "text", "store": True}}, {}, "body", "story",
    ),
    "derived": (
        {"body": TEXT},
        {"derived": {"story": {"type": "keyword", "script": {"source": "emit(params._source['body'])"}}}},
        "body",
        "story",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_text_that_source_never_holds_is_read_and_stays_out_of_the_response(client, made, kind):
    properties, mappings, written, wanted = KINDS[kind]
    index = made(properties, lambda i: {written: long_text(i), "tag": f"t{i}"}, **mappings)
    chosen = PassageFields(text=(wanted,))
    options = [{}, {"_source": False}, {"_source": ["tag"]}, {"stored_fields": ["tag"]}, {"version": True}]
    if kind == "sourceless":
        del options[2]  # OpenSearch itself refuses it
    for option in options:
        reranking, answer = searched(client, index, chosen)
        assert (lengths(answer), answer.warning, answer.skipped) == (FALLING, None, None), option
        body = {"query": QUERY, "size": DOCS, **option}
        again = reranking.rerank(SearchRequest(index, body))
        assert (lengths(again), again.skipped) == (FALLING, None), option
        whole = json.loads(direct(client, index, body))
        ours = json.loads(again.body)
        by_id = {hit["_id"]: {**hit, "_score": None} for hit in whole["hits"]["hits"]}
        assert {hit["_id"]: {**hit, "_score": None} for hit in ours["hits"]["hits"]} == by_id, option
        assert [hit["_id"] for hit in ours["hits"]["hits"]] == [hit.candidate.docid for hit in again.ranking.hits]


def test_the_target_of_a_copy_to_is_refused_by_name(client, made):
    properties = {"body": {"type": "text", "copy_to": ["everything"]}, "everything": TEXT}
    index = made(properties, lambda i: {"body": long_text(i)})
    reranking, answer = searched(client, index, PassageFields(text=("everything",)))
    said = f"everything of {index} is the target of a copy_to, whose text OpenSearch keeps nowhere: name body"
    assert (answer.skipped, answer.ranking) == (said, None)
    plain = direct(client, index, {"query": QUERY, "size": DOCS})
    assert without_took(answer.body) == without_took(plain)
    assert reranking.rerank(SearchRequest(index, {"query": QUERY})).skipped == said
    # By default it is no field to choose.
    _, answer = searched(client, index)
    assert answer.fields == ("title", "body")


def test_each_index_is_read_by_its_own_fields(client, made):
    usual = made({"text": TEXT, "story": TEXT}, lambda i: {"text": "fox " + "y" * i, "story": long_text(i)})
    other = made({"story": TEXT}, lambda i: {"story": long_text(i)})
    several = f"{usual},{other}"
    _, answer = searched(client, several, size=50)
    read = {hit["_id"] + hit["_index"]: hit["_source"] for hit in json.loads(answer.body)["hits"]["hits"]}
    assert len(read) == 2 * DOCS
    assert sorted(lengths(answer)) == sorted([4 + i for i in range(DOCS)] + FALLING)
    assert answer.warning == f"{other} has none of the default text fields; read are those of its mapping: story"


def test_several_searches_and_the_asynchronous_client(opensearch_url, client, made):
    index = made({"story": TEXT}, lambda i: {"story": long_text(i)})
    line = {"query": QUERY, "size": DOCS}
    reranking = RerankingClient(client, ByLength(), window=50)
    answer = reranking.rerank_all(MultiSearchRequest(body=[{"index": index}, line] * 2))
    assert [lengths(one) for one in answer.searches] == [FALLING, FALLING]
    assert all("none of the default text fields" in one.warning for one in answer.searches)

    async def searches():
        async with AsyncOpenSearch(opensearch_url) as asynchronous:
            return await AsyncRerankingClient(asynchronous, ByLength(), window=50).rerank(SearchRequest(index, line))

    assert lengths(asyncio.run(searches())) == FALLING
