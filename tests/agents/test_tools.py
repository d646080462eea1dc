"""The tools for agents, called by the SDK's own client in this process."""

from __future__ import annotations

import asyncio

import pytest
from mcp.client import Client

from sidecar.agents.server import build_server
from sidecar.agents.tools import Limits, Tools
from sidecar.core.candidates import Candidate, FirstStage, Passage, Score
from sidecar.core.errors import EngineUnreachable
from sidecar.core.reasons import Why
from sidecar.reranker import Reranker
from sidecar.scoring.checkpoints.manifest import Manifest

LIMITS = Limits(window=3, hits=5, passages=4, characters=100, text=10)


class ByLength:
    """Scores a passage by the length of its text."""

    name = "by length"
    manifest = Manifest()

    def score(self, query, passages):
        return [Score(float(len(passage.text))) for passage in passages]


def found(query):
    if query == "down":
        raise EngineUnreachable("no connection to OpenSearch.", remedy="Is it running?")
    if query == "bug":
        raise ZeroDivisionError("secret")
    texts = ["short", "the longest of all", "medium text", "beyond the window is even longer"]
    candidates = [Candidate(f"d{n}", n, 9.0 - n, Passage("a title", text)) for n, text in enumerate(texts, 1)]
    return FirstStage(query, candidates, None)


def call(tool, *, fetch=found, **arguments):
    async def ask():
        async with Client(build_server(Tools(Reranker(ByLength()), LIMITS, fetch), "the index")) as client:
            return await client.call_tool(tool, arguments)

    return asyncio.run(ask())


def refused(answer):
    assert answer.is_error
    return answer.content[0].text


def test_search_reranks_the_window():
    answer = call("search", query="how", hits=2)
    assert not answer.is_error
    assert answer.structured_content["result"] == [
        {"docid": "d2", "score": 18.0, "title": "a title", "text": "the longes", "truncated": True},
        {"docid": "d3", "score": 11.0, "title": "a title", "text": "medium tex", "truncated": True},
    ]


def test_rerank_orders_what_is_given():
    answer = call("rerank", query="how", passages=["a", "ccc", "bb"], top_n=2)
    assert answer.structured_content["result"] == [
        {"index": 1, "score": 3.0, "text": "ccc", "truncated": False},
        {"index": 2, "score": 2.0, "text": "bb", "truncated": False},
    ]


def test_without_an_index_only_rerank_is_offered():
    async def names(fetch):
        async with Client(build_server(Tools(Reranker(ByLength()), LIMITS, fetch), "the index")) as client:
            return {tool.name: tool for tool in (await client.list_tools()).tools}

    assert set(asyncio.run(names(None))) == {"rerank"}
    both = asyncio.run(names(found))
    assert set(both) == {"search", "rerank"}
    assert "the index" in both["search"].description
    assert both["search"].input_schema["required"] == ["query"]


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("search", {"query": " "}, "the query is empty."),
        ("search", {"query": "how", "hits": 6}, "6 hits were asked for.\nAsk for 1 to 5."),
        ("search", {"query": "how", "hits": 0}, "0 hits were asked for.\nAsk for 1 to 5."),
        ("search", {"query": "down"}, "no connection to OpenSearch.\nIs it running?"),
        ("rerank", {"query": "", "passages": ["a"]}, "the query is empty."),
        ("rerank", {"query": "how", "passages": ["a"] * 5}, "5 passages were given.\nGive at most 4 at a time."),
        ("rerank", {"query": "how", "passages": ["a" * 98]}, "the texts have 101 characters."),
        ("rerank", {"query": "how", "passages": ["a"], "top_n": 0}, "top_k is 0, not a number from 1 on."),
    ],
)
def test_an_error_says_what_to_do(tool, arguments, said):
    assert said in refused(call(tool, **arguments))


def test_wrong_arguments_are_refused():
    assert "passages" in refused(call("rerank", query="how"))
    assert "passages" in refused(call("rerank", query="how", passages="a text"))
    assert "hits" in refused(call("search", query="how", hits="many"))


def test_a_bug_tells_nothing_of_itself():
    assert "secret" not in refused(call("search", query="bug"))


def test_a_search_that_can_not_be_reranked_is_an_error():
    def skipped(query):
        return FirstStage(query, [], None, Why("window", "the window is too large"))

    assert "can't be reranked" in refused(call("search", fetch=skipped, query="how"))
