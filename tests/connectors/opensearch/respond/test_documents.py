"""Title and text of a hit, from raw `_source` bytes."""

from __future__ import annotations

import msgspec
import pytest

from connectors.opensearch.respond.response import passage
from sidecar.core.candidates import Passage
from sidecar.core.documents import PassageFields


def of(*sources, title=("title",), text=("text", "contents", "passage", "body", "content")):
    return passage([msgspec.Raw(source) for source in sources], PassageFields(tuple(title), tuple(text)))


@pytest.mark.parametrize(
    ("source", "title", "text"),
    [
        (b'{"title":"Fox","text":"It jumps."}', "Fox", "It jumps."),
        (b'{"body":"second","text":"first"}', "", "first"),
        (b'{"body":"second","text":""}', "", "second"),
        (b'{"text":null,"contents":"It jumps."}', "", "It jumps."),
        (b'{"title":["Red","Fox"],"text":["It","jumps."]}', "Red Fox", "It\njumps."),
        (b'{"title":1984,"text":0.10}', "1984", "0.10"),
        (b'{"title":true,"text":{"en":"unasked"}}', "", ""),
        (b'{"text":"x","n":1e400,"m":1234567890123456789012345}', "", "x"),
        (b'{"text":"caf\\u00e9 \\ud83e\\udd8a"}', "", "caf\u00e9 \U0001f98a"),
        (b"{}", "", ""),
    ],
)
def test_default_fields(source, title, text):
    assert of(source) == Passage(title, text)


@pytest.mark.parametrize(
    ("source", "field", "text"),
    [
        (b'{"meta":{"text":"deep"}}', "meta.text", "deep"),
        (b'{"meta.text":"flat"}', "meta.text", "flat"),
        (b'{"a.b":{"c":"half flat"}}', "a.b.c", "half flat"),
        (b'{"parts":[{"text":"one"},{"text":["two","three"]},{"no":1}]}', "parts.text", "one\ntwo\nthree"),
        (b'{"meta":"text"}', "meta.text", ""),
        (b'{"meta":[[{"text":"nested arrays"}]]}', "meta.text", "nested arrays"),
    ],
)
def test_dotted_paths(source, field, text):
    assert of(source, text=(field,)).text == text


def test_the_first_source_goes_first_but_an_earlier_field_wins():
    assert of(b'{"text":"whole"}', b'{"text":"part"}').text == "whole"
    assert of(b'{"body":"from fields"}', b'{"text":"from source"}').text == "from source"


def test_a_passage_knows_the_fields_it_came_from():
    assert of(b'{"title":"Fox","text":"","body":"second"}').fields == ("title", "body")
    assert of(b'{"meta":{"text":"deep"}}', text=("text", "meta.text")).fields == ("meta.text",)
    assert of(b"{}").fields == ()


def test_fields_are_joined_on_request():
    fields = PassageFields(text=("a", "b.c", "d"), join="\n\n")
    assert (
        passage([msgspec.Raw(b'{"d":0.10,"b":[{"c":"two"},{"c":3}],"a":"one"}')], fields).text
        == "one\n\ntwo\n3\n\n0.10"
    )
