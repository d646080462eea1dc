"""Spans as a hit's highlight: the whole text of each field, with tags around its spans."""

from __future__ import annotations

import pytest

from connectors.opensearch.respond.highlight import highlight_of
from connectors.opensearch.rewrite.highlight_tags import HighlightTags, Tags
from sidecar.core.candidates import Passage, TextPart
from sidecar.core.spans import Span

TEXT = "Dogs bark. Fleas live for 100 days. They are small."
WHOLE = Passage("", TEXT, ("text",), (TextPart("text", 0, len(TEXT)),))
BEST, LAST = Span(11, 35, 0.9), Span(36, 51, 0.4)


def test_spans_are_tagged_where_they_are_in_the_text():
    # The best span comes first, wherever it is in the text.
    assert highlight_of(WHOLE, [LAST, BEST], HighlightTags()) == {
        "text": ["Dogs bark. <em>Fleas live for 100 days.</em> <em>They are small.</em>"]
    }


def test_without_a_span_there_is_nothing():
    assert highlight_of(WHOLE, [], HighlightTags()) == {"text": []}


def test_each_field_has_its_own_spans_and_tags():
    joined = Passage("", "First. Second\nthird. Last.", (), (TextPart("a", 0, 13), TextPart("b", 14, 26)))
    tags = HighlightTags(Tags("<", ">"), [("b", Tags("[", "]"))])
    # The second sentence goes over from one field to the next.
    assert highlight_of(joined, [Span(7, 20, 0.5), Span(21, 26, 0.4)], tags) == {
        "a": ["First. <Second>"],
        "b": ["[third.] [Last.]"],
    }
    assert highlight_of(joined, [Span(0, 6, 0.5)], tags) == {"a": ["<First.> Second"], "b": []}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<a href='1/2'>\"x\"</a>", "&lt;a href=&#x27;1&#x2F;2&#x27;&gt;&quot;x&quot;&lt;&#x2F;a&gt;"),
        ("</em><img src=x onerror=alert(1)>", "&lt;&#x2F;em&gt;&lt;img src=x onerror=alert(1)&gt;"),
        ("&amp;", "&amp;amp;"),
    ],
)
def test_the_encoder_for_html_escapes_the_text_and_not_the_tags(text, expected):
    passage = Passage("", f"{text} {text}", (), (TextPart("text", 0, 2 * len(text) + 1),))
    tags = HighlightTags(Tags("<b>", "</b>", html=True))
    found = highlight_of(passage, [Span(0, len(text), 0.5)], tags)
    assert found == {"text": [f"<b>{expected}</b> {expected}"]}


def test_half_a_surrogate_pair_can_be_written():
    passage = Passage("", "a \ud800 b", (), (TextPart("text", 0, 5),))
    assert highlight_of(passage, [Span(0, 5, 0.5)], HighlightTags()) == {"text": ["<em>a \ufffd b</em>"]}
