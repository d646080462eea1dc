"""Documents that are objects: what was read of them is scored, and of what nothing can be read none is."""

from __future__ import annotations

import pytest

from sidecar.core.candidates import Passage
from sidecar.core.documents import PassageFields
from sidecar.serving.rerank_api.document import passages_of, text_shown
from sidecar.serving.rerank_api.problem import Fault, Problem

NESTED = PassageFields(text=("body.text",))
PART = {"type": "text", "text": "fleas live"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,x"}}


def read(document, fields=PassageFields(), rank_fields=None):
    (passage,) = passages_of([document], fields, rank_fields)
    return passage.title, passage.text


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("fleas live", ("", "fleas live")),
        ({"text": "fleas live"}, ("", "fleas live")),
        ({"content": [PART]}, ("", "fleas live")),
        ({"content": [PART, {"type": "input_text", "text": "long"}, "days"]}, ("", "fleas live\nlong\ndays")),
        ({"text": [PART]}, ("", "fleas live")),
        ({"text": {"value": "fleas live"}}, ("", "fleas live")),
        ({"text": {"text": "fleas live"}}, ("", "fleas live")),
        ({"content": {"text": "fleas live"}}, ("", "fleas live")),
        ({"content": {"type": "text", "value": "fleas live"}}, ("", "fleas live")),
        ({"title": "Flea", "content": [PART]}, ("Flea", "fleas live")),
        ({"title": "Flea"}, ("Flea", "")),
        ({"title": "Flea", "text": None}, ("Flea", "")),
        ({"title": "Flea", "text": ""}, ("Flea", "")),
        ({"text": ""}, ("", "")),
        ({"text": " ", "contents": "fleas live"}, ("", "fleas live")),
        ({"text": 1984}, ("", "1984")),
        ({"text": ["fleas", "live"]}, ("", "fleas\nlive")),
    ],
)
def test_a_document_is_read_in_every_vendors_shape(document, expected):
    assert read(document) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"body": {"text": "fleas live"}}, ("", "fleas live")),
        ({"body.text": "fleas live"}, ("", "fleas live")),
        ({"body": [{"text": "fleas"}, {"text": "live"}]}, ("", "fleas\nlive")),
        ({"text": "fleas live"}, ("", "fleas live")),
        ({"body": {"text": "fleas live"}, "text": "not this"}, ("", "fleas live")),
        ({"title": "Flea", "content": [PART]}, ("Flea", "fleas live")),
    ],
)
def test_fields_of_the_settings_go_before_the_vendors(document, expected):
    assert read(document, NESTED) == expected


@pytest.mark.parametrize(
    "document",
    [{}, {"text": None}, {"text": {}}, {"text": []}, {"text": True}, {"text": {"de": "fleas"}},
     {"abstract": "fleas live"}, {"title": "Flea", "text": {"de": "fleas"}},
     {"title": "Flea", "content": []}, {"title": None}, {"id": 7}],
)  # fmt: skip
@pytest.mark.parametrize("fields", [PassageFields(), NESTED])
def test_of_what_nothing_can_be_read_is_named(document, fields):
    with pytest.raises(Problem) as met:
        passages_of(["fine", document], fields)
    assert (met.value.fault, met.value.param) == (Fault.INVALID, "documents.1")
    assert met.value.message.startswith("documents.1: no text in title, ")


def test_where_there_is_text_is_said():
    with pytest.raises(Problem, match="it has text in abstract, meta.note: name it in rank_fields, or SIDECAR_TEXT_FI"):
        read({"abstract": "fleas live", "meta": {"note": "long", "year": 1984}})


@pytest.mark.parametrize(
    ("parts", "where"),
    [
        ([PART, IMAGE], "documents.0.content.1"),
        ([IMAGE], "documents.0.content.0"),
        ([PART, 7], "documents.0.content.1"),
    ],
)
def test_a_part_that_is_no_text_is_not_left_out_silently(parts, where):
    with pytest.raises(Problem) as met:
        read({"title": "Flea", "content": parts})
    assert (met.value.message, met.value.param) == (f"{where}: only parts of text are read", where)


def test_rank_fields_are_read_or_named():
    assert read({"note": "fleas live", "text": "not this"}, rank_fields=["note"]) == ("", "fleas live")
    assert read({"note": ""}, rank_fields=["note"]) == ("", "")
    with pytest.raises(Problem, match="documents.0: no text in note, remark; it has text in text"):
        read({"text": "fleas live", "note": None}, rank_fields=["note", "remark"])


def test_what_is_repeated_is_the_documents_own_text_or_what_was_read():
    assert text_shown("fleas", Passage("", "fleas")) == "fleas"
    assert text_shown({"text": "fleas", "title": "Flea"}, Passage("Flea", "fleas")) == "fleas"
    assert text_shown({"content": [PART]}, Passage("", "fleas live")) == "fleas live"
    assert text_shown({"title": "Flea", "body": "fleas live"}, Passage("Flea", "fleas live")) == "Flea\nfleas live"


PATHS = ["/v1/rerank", "/v2/rerank", "/rerank", "/cohere/v1/rerank", "/jina/v1/rerank", "/vllm/v1/rerank"]


@pytest.mark.parametrize("path", PATHS)
def test_every_path_scores_what_an_object_holds(api, path):
    documents = [
        {"content": [{"type": "text", "text": "score 1"}]},
        {"text": {"value": "score 3"}},
        {"text": "score 2"},
    ]
    answer = api.post(path, {"query": "q", "documents": documents})
    assert [one["index"] for one in answer.json()["results"]] == [1, 2, 0]
    status = 400 if path.startswith(("/cohere", "/vllm")) else 422
    refused = api.post(path, {"query": "q", "documents": ["fine", {"text": {"de": "score 1"}}]})
    assert refused.status_code == status
    assert "documents.1: no text in title, text" in refused.text


def test_vllm_repeats_what_was_read(api):
    documents = [{"content": [{"type": "text", "text": "score 1"}]}]
    (one,) = api.post("/vllm/v1/rerank", {"query": "q", "documents": documents}).json()["results"]
    assert one["document"] == {"text": "score 1"}
