"""Sentences of a text: where people would cut it, and within bounds for whatever text there is."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.candidates import Passage
from sidecar.core.sentences import LONGEST, sentences
from sidecar.core.spans import (
    MOST_OF_A_PASSAGE,
    MOST_OF_A_REQUEST,
    Span,
    SpanOptions,
    best_spans,
    pieces_of,
    span_with_text,
)


def cut(text):
    return [text[start:end] for start, end in sentences(text, 1000)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        (" \n ", []),
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ('He said "Go." Then he left.', ['He said "Go."', "Then he left."]),
        ("Dr. A. Smith lives in the U.S. today. Yes.", ["Dr. A. Smith lives in the U.S. today.", "Yes."]),
        ("It costs 2.5 million, e.g. here. See v1.2.", ["It costs 2.5 million, e.g. here.", "See v1.2."]),
        ("A heading\n\nIts text\n- an item\n- another", ["A heading", "Its text", "- an item", "- another"]),
        ("hard\nwrapped lines. End", ["hard\nwrapped lines.", "End"]),
        ("日本語。次の文！「はい。」終わり", ["日本語。", "次の文！", "「はい。」", "終わり"]),  # noqa: RUF001
        ("שלום עולם. מה שלומך?", ["שלום עולם.", "מה שלומך?"]),
        ("یہ ہے۔ وہ ہے۔", ["یہ ہے۔", "وہ ہے۔"]),  # noqa: RUF001
    ],
)
def test_a_text_is_cut_where_a_reader_would(text, parts):
    assert cut(text) == parts


def test_an_endless_sentence_is_cut_at_white_space_or_at_the_limit():
    assert [len(part) for part in cut("x" * (2 * LONGEST + 5))] == [LONGEST, LONGEST, 5]
    assert all(len(part) <= LONGEST and not part.startswith("d") for part in cut("word " * 500))


def test_a_character_and_its_marks_stay_together():
    # The limit lies between the letter and its accent.
    first, second = cut("x" * (LONGEST - 1) + "e\u0301" + "y" * 10)
    assert (first[-2:], second) == ("e\u0301", "y" * 10)
    family = "👩\u200d👩\u200d👧"
    assert "".join(cut(family * 400)).count(family) == 400
    assert not any(unicodedata.combining(part[0]) for part in cut("e" + "\u0301" * 20 + "a" * 2000))


@given(
    st.text(alphabet=st.one_of(st.sampled_from(".!? \n\"'。」-aA\u0301\u200d\ud800é👩"), st.characters()), max_size=300)
)
def test_positions_are_in_order_and_hold_all_that_is_not_white_space(text):
    found = sentences(text, 1000)
    at = 0
    for start, end in found:
        assert at <= start < end <= len(text)
        assert not text[at:start].strip()
        assert text[start:end] == text[start:end].strip()
        at = end
    assert not text[at:].strip()


@pytest.mark.parametrize("part", [".", "\n ", "。", ' ."', " ", "A. "])
def test_hostile_texts_take_linear_time(part):
    started = time.process_time()
    sentences(part * 40_000, 10**9)
    assert time.process_time() - started < 1


def test_what_is_looked_at_is_bounded():
    passages = [Passage("", "Yes. " * 200)] * 40
    found = pieces_of(passages)
    fit = MOST_OF_A_REQUEST // MOST_OF_A_PASSAGE
    assert [len(own) for own in found[:fit] if own is not None] == [MOST_OF_A_PASSAGE] * fit
    assert found[fit:] == [None] * (40 - fit)


def test_the_best_spans_come_first_and_equal_ones_in_the_order_of_the_text():
    pieces = [(0, 5), (6, 9), (10, 12), (13, 20)]
    scores = [0.2, 0.7, 0.1, 0.7]
    best = [Span(6, 9, 0.7), Span(13, 20, 0.7), Span(0, 5, 0.2)]
    assert best_spans(pieces, scores, SpanOptions(threshold=0.1)) == best
    assert best_spans(pieces, scores, SpanOptions(1)) == best[:1]


def test_a_spans_text_is_its_own_and_can_be_written_as_json():
    assert span_with_text("ab\U0001f469cd", Span(2, 4, 0.5)) == {
        "start": 2,
        "end": 4,
        "score": 0.5,
        "text": "\U0001f469c",
    }
    assert span_with_text("a\ud800b", Span(0, 3, 0.5))["text"] == "a\ufffdb"
