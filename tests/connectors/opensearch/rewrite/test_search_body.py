"""A search body is parsed once, and kept only if that costs little memory."""

from __future__ import annotations

import pytest

from connectors.opensearch import raw_json
from connectors.opensearch.rewrite.search_body import MOST_KEPT, SearchBody, url_params


def test_the_members_of_a_search_are_parsed_once():
    body = SearchBody(b'{"query":{"match":{"text":"fox"}},"size":0.10}')
    assert {name: bytes(value) for name, value in body.members.items()} == {
        "query": b'{"match":{"text":"fox"}}',
        "size": b"0.10",
    }
    assert body.members is body.members


def test_more_members_than_a_search_has_are_not_kept():
    body = SearchBody(b"{" + b",".join(b'"%d":1' % number for number in range(MOST_KEPT + 1)) + b"}")
    assert len(body.members) == MOST_KEPT + 1
    assert body.members is not body.members


@pytest.mark.parametrize("raw", [b"", b" \n", b"\xef\xbb\xbf"])
def test_an_empty_body_has_no_members(raw):
    body = SearchBody(raw)
    assert (dict(body.members), body.values(), body.has_rerank, body.forwarded) == ({}, {}, False, raw)


@pytest.mark.parametrize("raw", [b"[1]", b"{", b'{"a":"\xff"}', b"fox"])
def test_what_is_no_json_object_is_forwarded_as_it_came(raw):
    body = SearchBody(raw)
    with pytest.raises(raw_json.Malformed):
        dict(body.members)
    assert (body.has_rerank, body.forwarded) == (False, raw)


@pytest.mark.parametrize(
    ("raw", "rerank", "forwarded"),
    [
        (b'{ "size": 3 }', None, b'{ "size": 3 }'),
        (b'{ "ext": {"other": 0.10} }', None, b'{ "ext": {"other": 0.10} }'),
        (b'{ "ext": [] }', "malformed", b'{ "ext": [] }'),
        (b'{ "ext": {"rerank": {}}, "size": 3 }', b"{}", b'{"size":3}'),
        (b'{"ext":{"rerank":null,"a":0.10},"size":3}', b"null", b'{"size":3,"ext":{"a":0.10}}'),
        (b'{"\\u0065xt":{"rerank":{}},"q":"\\ud83d"}', b"{}", b'{"q":"\\ud83d"}'),
        ('{"ext":{"rerank":{}}}'.encode("utf-16"), b"{}", b"{}"),
    ],
)
def test_ext_rerank_is_found_and_left_out_of_what_is_forwarded(raw, rerank, forwarded):
    body = SearchBody(raw)
    assert body.forwarded == forwarded
    assert body.has_rerank is (rerank not in {None, "malformed"})
    if rerank == "malformed":
        with pytest.raises(raw_json.Malformed):
            body.rerank  # noqa: B018  the property raises
    else:
        assert (body.rerank if body.rerank is None else bytes(body.rerank)) == rerank


@pytest.mark.parametrize("raw", [b'{"a":1,"a":2}', b'{"a":{"b":1,"b":2}}', b"{'a':1}"])
def test_values_are_those_that_opensearch_takes(raw):
    with pytest.raises(ValueError, match="key|property name"):
        SearchBody(raw).values()


def test_url_parameters_are_those_that_opensearch_reads():
    assert url_params("q=a%3Bb;size=3;from=2&size=4&pretty") == {"q": "a;b", "size": "4", "from": "2", "pretty": ""}
    assert url_params("q=fl%C3%B6he+x") == {"q": "flöhe x"}
    assert url_params("q=fl\xc3\xb6he") == {"q": "flÃ¶he"}
