import json

import pytest

from sidecar.core.candidates import Passage
from sidecar.core.documents import (
    MAX_CHARACTERS,
    PassageFields,
    nothing_to_read,
    passage_in,
    passage_of,
    passage_of_record,
    text_fields_in,
)

WIKI = '"Aaron"\nAaron is a prophet.'


@pytest.mark.parametrize(
    ("raw", "contents", "expected"),
    [
        pytest.param({"_id": "1", "title": "T", "text": "words"}, None, ("T", "words"), id="BEIR"),
        pytest.param({"id": "1", "contents": "words"}, None, ("", "words"), id="MS MARCO v1"),
        pytest.param({"pid": "1", "passage": "words", "spans": "(0,5)"}, None, ("", "words"), id="MS MARCO v2"),
        pytest.param(
            {"docid": "1", "url": "u", "title": "T", "headings": "h", "body": "words"},
            None,
            ("T", "words"),
            id="MS MARCO v2 document",
        ),
        pytest.param(
            {"docid": "1", "title": "T", "segment": "words"}, None, ("T", "words"), id="MS MARCO v2 document segment"
        ),
        pytest.param({"id": "1", "contents": WIKI}, None, ("Aaron", "Aaron is a prophet."), id="wiki"),
        pytest.param(
            {"id": "1", "contents": '"The "Big" One"\r\nwords'},
            None,
            ('The "Big" One', "words"),
            id="quotes in a title",
        ),
        pytest.param({"id": "1", "title": "T", "contents": WIKI}, None, ("T", WIKI), id="a title of its own stays"),
        pytest.param({"id": "1", "contents": '"Said he.'}, None, ("", '"Said he.'), id="one quotation mark"),
        pytest.param({"id": "1", "contents": '"A" and\n"B"'}, None, ("", '"A" and\n"B"'), id="quoted words in a line"),
        pytest.param({"id": "1", "contents": '"only"'}, None, ("", '"only"'), id="a quoted title and nothing else"),
        pytest.param({"_id": "1", "title": "T", "text": ""}, None, ("T", ""), id="title alone"),
        pytest.param({"_id": "1", "title": "", "text": " "}, None, ("", ""), id="nothing"),
        pytest.param({"_id": "1", "title": None, "text": None}, None, ("", ""), id="null"),
        pytest.param({"id": "1", "text": "", "contents": "words"}, None, ("", "words"), id="blank gives way"),
        pytest.param({"id": "1", "title": ["A", "B"], "text": ["x", "y"]}, None, ("A B", "x\ny"), id="arrays of texts"),
        pytest.param({"id": "1", "text": [None, {"a": "b"}, [True]]}, None, ("", ""), id="an array without texts"),
        pytest.param({"id": "1", "title": 1984, "text": True}, None, ("1984", ""), id="a number is a title"),
        pytest.param(
            {"id": "1", "text": "a\ud83d b \ud83d\ude00"}, None, ("", "a\ufffd b 😀"), id="half a surrogate pair"
        ),
        pytest.param('["x", "y"]', None, ("", "x\ny"), id="raw is an array of texts"),
        pytest.param("a\udc00", None, ("", "a\ufffd"), id="half a surrogate pair without JSON"),
        pytest.param({"id": "1", "vector": {}}, "words", ("", "words"), id="text in contents alone"),
        pytest.param("plain words", None, ("", "plain words"), id="raw is no JSON"),
        pytest.param("<DOC>\n<TEXT>words", "words", ("", "words"), id="TREC markup gives way to contents"),
        pytest.param(WIKI, None, ("Aaron", "Aaron is a prophet."), id="wiki without JSON"),
        pytest.param("{not JSON}", None, ("", "{not JSON}"), id="looks like JSON"),
        pytest.param("[1, 2]", None, ("", "[1, 2]"), id="JSON, not an object"),
        pytest.param('{"a":' * 100_000, None, ("", '{"a":' * 100_000), id="too deep to parse"),
        pytest.param(None, "words", ("", "words"), id="raw not stored"),
        pytest.param(None, WIKI, ("Aaron", "Aaron is a prophet."), id="wiki, raw not stored"),
        pytest.param(None, None, ("", ""), id="nothing stored"),
    ],
)
def test_the_usual_shapes(raw, contents, expected):
    stored = json.dumps(raw, indent=2) if isinstance(raw, dict) else raw
    assert passage_of(stored, contents, PassageFields()) == Passage(*expected)


def test_fields_of_ones_own_are_tried_in_order():
    raw = json.dumps({"id": "1", "name": "N", "headline": "H", "abstract": "A", "text": "not asked for"})
    assert passage_of(raw, None, PassageFields(title=("headline", "name"), text=("summary", "abstract"))) == Passage(
        "H", "A"
    )
    assert passage_of(raw, None, PassageFields(title=(), text=("abstract",))) == Passage("", "A")


@pytest.mark.parametrize(
    ("raw", "contents", "fields"),
    [
        ('{"title": "T", "contents": "c"}', None, ("title", "contents")),
        ('{"title": " ", "text": "", "body": "b"}', None, ("body",)),
        ('{"n": 1}', "stored apart", ("contents",)),
        ("<DOC>markup</DOC>", "stored apart", ("contents",)),
        ("plain", None, ("raw",)),
        (None, None, ()),
        ('{"contents": "\\"Quoted\\"\\nand text"}', None, ("contents",)),
    ],
)
def test_a_passage_knows_the_fields_it_came_from(raw, contents, fields):
    assert passage_of(raw, contents, PassageFields()).fields == fields


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ([b'{"headline": "Fox", "n": 1}', b'{"lead": "x", "headline": "y", "empty": " "}'], "in headline, lead: set"),
        ([b'{"body": {"html": "x", "deep": [{"p": "y"}]}, "tags": ["z"]}'], "in body.html, body.deep.p, tags: set"),
        ([b"null", b'"plain"'], "hold no text in any field"),
        ([], "hold no text in any field"),
    ],
)
def test_fields_that_hold_text_are_named_where_those_that_are_set_do_not(documents, expected):
    fields = PassageFields(title=("heading",), text=("abstract",))
    said = nothing_to_read(documents, fields)
    assert said.startswith("no candidate has text in heading, abstract, so nothing was reranked.")
    assert expected in said


@pytest.mark.parametrize(
    "record",
    [
        {"meta": {"name": "N"}, "body": [{"text": "a"}, {"text": "b"}]},
        {"meta.name": "N", "body": {"text": ["a", "b"]}},
    ],
)
def test_fields_are_paths_as_in_opensearch(record):
    fields = PassageFields(title=("meta.name",), text=("body.text",))
    assert passage_of(json.dumps(record), None, fields) == Passage("N", "a\nb")


@pytest.mark.parametrize(
    ("record", "field", "text"),
    [
        ({"meta": {"text": "deep"}}, "meta.text", "deep"),
        ({"meta.text": "flat"}, "meta.text", "flat"),
        ({"a.b": {"c": "half flat"}}, "a.b.c", "half flat"),
        ({"parts": [{"text": "one"}, {"text": ["two", "three"]}, {"no": 1}]}, "parts.text", "one\ntwo\nthree"),
        ({"meta": "text"}, "meta.text", ""),
        ({"meta": [[{"text": "arrays in arrays"}]]}, "meta.text", "arrays in arrays"),
    ],
)
def test_dotted_paths(record, field, text):
    assert passage_of_record(record, PassageFields(text=(field,))).text == text


def test_text_fields_are_joined_on_request():
    record = {"title": "T", "abstract": "A", "empty": " ", "body": {"text": ["B", "C"]}, "year": 1984}
    names = ("abstract", "empty", "missing", "body.text", "year")
    assert passage_of_record(record, PassageFields(text=names, join=" | ")) == Passage("T", "A | B\nC | 1984")
    assert passage_of_record(record, PassageFields(text=names, join="")) == Passage("T", "AB\nC1984")
    assert passage_of_record(record, PassageFields(text=names)) == Passage("T", "A")
    assert passage_of_record(record, PassageFields(text=("none",), join="\n"), otherwise="O") == Passage("T", "O")


@pytest.mark.parametrize(
    ("join", "parts"),
    [
        (None, [("a", 0, 5)]),
        ("", [("a", 0, 5), ("b", 5, 9)]),
        (" | ", [("a", 0, 5), ("b", 8, 12)]),
    ],
)
def test_a_passage_knows_where_the_text_of_each_field_is(join, parts):
    record = {"title": "T", "a": "first", "c": " ", "b": ["x y", ""]}
    fields = PassageFields(title=("title",), text=("a", "c", "b"), join=join)
    found = passage_in([record], fields)
    assert [(part.field, part.start, part.end) for part in found.parts] == parts
    assert [found.text[part.start : part.end] for part in found.parts] == ["first", "x y\n"][: len(parts)]


def test_parts_end_where_a_text_is_cut():
    record = {"a": "x" * (MAX_CHARACTERS - 2), "b": "y" * 10, "c": "z"}
    found = passage_in([record], PassageFields(text=("a", "b", "c"), join=""))
    assert [(part.field, part.start, part.end) for part in found.parts] == [
        ("a", 0, MAX_CHARACTERS - 2),
        ("b", MAX_CHARACTERS - 2, MAX_CHARACTERS),
    ]


def test_what_one_document_costs_has_an_end():
    many = {"text": ["a" * 10] * 1_000_000}
    assert len(passage_of_record(many, PassageFields()).text) <= MAX_CHARACTERS
    assert len(passage_of_record({"text": "a" * 5_000_000}, PassageFields()).text) == MAX_CHARACTERS
    nested = "x"
    for _ in range(500):
        nested = [nested]
    assert passage_of_record({"text": nested}, PassageFields()).text == ""


def test_the_fields_that_hold_text():
    record = {"id": 3, "a": "x", "b": {"c": "y", "d": None, "e": [{"f": "z"}, {"f": "w"}]}, "g": [" ", "v"], "h": ""}
    assert text_fields_in(record) == ["a", "b.c", "b.e.f", "g"]
