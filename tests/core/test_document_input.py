"""Documents as callers may hand them over, what a model reads of them, and what is refused with which words."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from sidecar.core.candidates import Candidate, Passage, Score
from sidecar.core.document_input import read_documents, read_query
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.core.fusion import Fusion, Method
from sidecar.reranker import RankedDocument, Reranker
from sidecar.scoring.checkpoints.manifest import Manifest


class Lengths:
    """A scorer whose score is the length of title and text."""

    name = "lengths"
    manifest = Manifest()

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        return [
            Score(float(len(passage.title + passage.text)), truncated=len(passage.text) > 9) for passage in passages
        ]


@pytest.mark.parametrize(
    ("document", "read"),
    [
        ("ab", ("", "ab")),
        ("", ("", "")),
        ("\ud800!", ("", "\ufffd!")),
        (("Title", "text"), ("Title", "text")),
        (["Title", "text"], ("Title", "text")),
        ((None, "text"), ("", "text")),
        (("", ""), ("", "")),
        ({"text": "some"}, ("", "some")),
        ({"title": "Title", "text": "some"}, ("Title", "some")),
        ({"title": None, "contents": "some", "id": 7}, ("", "some")),
        ({"title": "Title", "text": ""}, ("Title", "")),
        ({"text": " ", "body": "some"}, ("", "some")),
        ({"text": ["one", "two"]}, ("", "one\ntwo")),
        ({"text": 1984}, ("", "1984")),
        ({"contents": '"Quoted"\nrest'}, ("Quoted", "rest")),
        (Passage("T", "x"), ("T", "x")),
    ],
)
def test_a_document_of_any_shape_is_read(document, read):
    given, (passage,) = read_documents([document], PassageFields())
    assert given == [document]
    assert (passage.title, passage.text) == read


def test_the_fields_of_records_can_be_named():
    fields = PassageFields(title=("headline",), text=("body.en", "summary"), join=" ")
    _, passages = read_documents(
        [{"headline": "H", "body": {"en": "deep"}, "summary": "short", "text": "not read"}, {"body.en": "flat"}], fields
    )
    assert passages == [Passage("H", "deep short"), Passage("", "flat")]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "documents[1] is a NoneType: None, which holds no text."),
        (3.5, "documents[1] is a float: 3.5, which holds no text."),
        (b"bytes", "documents[1] is a bytes: b'bytes', which holds no text."),
        (["text"], "documents[1] is a list: ['text'], which holds no text."),
        (("a", "b", "c"), "documents[1] is a tuple: ('a', 'b', 'c'), which holds no text."),
        (("title", None), "documents[1] is a tuple: ('title', None), which holds no text."),
        ((1, "text"), "documents[1] is a tuple: (1, 'text'), which holds no text."),
        ({}, "documents[1] has no text in text, contents, passage, segment, body, content."),
        ({"title": "alone"}, "documents[1] has no text in text, contents, passage, segment, body, content."),
        ({"text": {"value": "x"}}, "documents[1] has no text in text, contents, passage, segment, body, content."),
        (
            {"text": "", "body": {"en": "x"}},
            "documents[1] has no text in text, contents, passage, segment, body, content.",
        ),
        (Candidate("d", 1, 1.0, Passage("", "x")), "documents[1] is a Candidate."),
    ],
)
def test_what_has_no_text_is_refused_by_its_position(document, message):
    with pytest.raises(InputError) as caught:
        Reranker(Lengths()).rank("q", ["first", document])
    assert caught.value.message == message
    assert caught.value.remedy


def test_the_fields_that_do_hold_text_are_named():
    with pytest.raises(InputError, match=r"It has text in headline, body\.en: name the fields by"):
        read_documents([{"headline": "H", "title": "T", "body": {"en": "x"}}], PassageFields())


@pytest.mark.parametrize("documents", ["text", b"text", {"text": "a"}, {"a", "b"}, None, 7])
def test_what_is_no_list_is_refused(documents):
    with pytest.raises(InputError, match="not a list of them"):
        Reranker(Lengths()).rank("q", documents)


def test_a_query_is_text():
    assert read_query("q\udfff") == "q\ufffd"
    with pytest.raises(InputError, match=r"the query is a list: \['a', 'b'\], not a text"):
        Reranker(Lengths()).rank(["a", "b"], "q")
    with pytest.raises(InputError, match="the query is empty"):
        Reranker(Lengths()).rank(" ", ["a"])


def test_the_best_documents_come_first_and_equal_ones_in_their_order():
    documents = ["ab", ("T", "bcd"), {"text": "ef"}, "a long text"]
    reranker = Reranker(Lengths())
    assert reranker.rank("q", documents) == [
        RankedDocument(3, 11.0, "a long text", truncated=True),
        RankedDocument(1, 4.0, ("T", "bcd")),
        RankedDocument(0, 2.0, "ab"),
        RankedDocument(2, 2.0, {"text": "ef"}),
    ]
    assert [found.index for found in reranker.rank("q", iter(documents), top_k=2)] == [3, 1]
    assert len(reranker.rank("q", documents, top_k=100)) == 4
    assert reranker.rank("q", []) == []
    # There is no first stage here, so there is nothing to fuse with.
    assert Reranker(Lengths(), Fusion(Method.LINEAR)).rank("q", documents) == reranker.rank("q", documents)


@pytest.mark.parametrize("top_k", [0, -1, 1.5, True, "3"])
def test_top_k_is_a_number_from_1_on(top_k):
    with pytest.raises(InputError, match="not a number from 1 on"):
        Reranker(Lengths()).rank("q", ["a"], top_k=top_k)


def test_pairs_of_index_and_score_are_the_same_ranking():
    documents = ["a", ("", "ccc"), {"title": "T", "text": "b"}, ""]
    assert Reranker(Lengths()).rerank("q", documents) == [(1, 3.0), (2, 2.0), (0, 1.0), (3, 0.0)]


def test_calls_of_several_threads_are_scored_one_at_a_time_and_the_event_loop_goes_on():
    class Waiting(Lengths):
        inside, most, until = 0, 0, threading.Event()

        def score(self, query, passages):
            type(self).inside += 1
            type(self).most = max(self.most, self.inside)
            assert self.until.wait(30)
            time.sleep(0.01)
            type(self).inside -= 1
            return super().score(query, passages)

    reranker = Reranker(Waiting())

    async def ask():
        calls = [asyncio.create_task(reranker.arank("q", ["a" * i, "b"], top_k=1)) for i in range(8)]
        here = asyncio.create_task(asyncio.to_thread(reranker.rank, "q", ["b", "cc"]))
        await asyncio.sleep(0.05)
        assert not any(call.done() for call in calls)
        # The loop runs, and so does the pool that resolves names.
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "pool"), 10) == "pool"
        Waiting.until.set()
        return await asyncio.gather(*calls), await here

    found, here = asyncio.run(ask())
    assert [[one.score for one in some] for some in found] == [[1.0], [1.0], [2.0], [3.0], [4.0], [5.0], [6.0], [7.0]]
    assert [one.index for one in here] == [1, 0]
    assert Waiting.most == 1


def test_what_is_refused_is_refused_by_the_asynchronous_call_too():
    with pytest.raises(InputError, match=r"documents\[0\] is a NoneType"):
        asyncio.run(Reranker(Lengths()).arank("q", [None]))
