"""JSON taken apart and joined again keeps its bytes."""

from __future__ import annotations

import pytest

from connectors.opensearch import raw_json

AWKWARD = rb'{"a":0.10,"b":1e400,"c":1234567890123456789012345,"d":"\u00e9\/","e":{"x":[ 1 ,2]},"f":-0.0}'


def test_values_keep_their_bytes():
    assert raw_json.joined(raw_json.members(AWKWARD)) == AWKWARD
    assert [bytes(value) for value in raw_json.elements(b'[0.10, {"a": 1} ,"\\u00e9"]')] == [
        b"0.10",
        b'{"a": 1}',
        b'"\\u00e9"',
    ]


@pytest.mark.parametrize(
    "data", [b"", b"[1]", b"{", b"null", b'{"a":1}x', b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"]
)
def test_what_is_no_object_is_malformed(data):
    with pytest.raises(raw_json.Malformed):
        raw_json.members(data)


@pytest.mark.parametrize(
    ("data", "escaped"),
    [
        (rb'{"a":"\ud83d!"}', b'{"a":"\xffud83d!"}'),
        (rb'{"a":"\uDE00"}', b'{"a":"\xffuDE00"}'),
        (rb'{"a":"\ud83d\ud83d\ude00"}', b'{"a":"\xffud83d\\ud83d\\ude00"}'),
        (rb'{"a":"\\ud83d"}', rb'{"a":"\\ud83d"}'),
        (rb'{"a":"\\\ud83d"}', b'{"a":"\\\\\xffud83d"}'),
        (rb'{"a":"\"\u00e9\n"}', rb'{"a":"\"\u00e9\n"}'),
    ],
)
def test_lone_surrogates_are_escaped_and_come_back(data, escaped):
    assert raw_json.escape_surrogates(data) == escaped
    assert raw_json.restore_surrogates(raw_json.joined(raw_json.members(escaped))) == data


def test_a_lone_surrogate_reads_as_the_replacement_character():
    values = raw_json.members(raw_json.escape_surrogates(rb'{"a":"\ud83d fox \ud83e\udd8a"}'))
    assert raw_json.text(values["a"]) == "\ufffd fox \U0001f98a"


def test_bytes_that_are_not_utf8_are_refused():
    with pytest.raises(raw_json.Malformed):
        raw_json.escape_surrogates(b'{"a":"\xff"}')
