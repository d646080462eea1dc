"""The rest that each path leaves, written out; tests/live/test_filter_path.py asks OpenSearch itself."""

from __future__ import annotations

import pytest

from connectors.opensearch.rewrite.filter_path import NoPaths, filtered, parsed

RESPONSE = (
    b'{"took":1,"hits":{"total":{"value":2},"hits":[{"_id":"1","_source":{"name":"n","price":0.10,"e":{},'
    b'"arr":[{"name":"a","q":1},{"q":2},3,[],{}],"a.b":{"c":1}}},{"_id":"2"}]}}'
)


@pytest.mark.parametrize(
    ("paths", "left"),
    [
        ("took", b'{"took":1}'),
        ("nothing", b"{}"),
        ("took.x", b"{}"),
        (" took , hits.total.value", b'{"took":1,"hits":{"total":{"value":2}}}'),
        ("hits.hits._id", b'{"hits":{"hits":[{"_id":"1"},{"_id":"2"}]}}'),
        ("hits.hits._source.price", b'{"hits":{"hits":[{"_source":{"price":0.10}}]}}'),
        ("hits.hits._source.e", b'{"hits":{"hits":[{"_source":{"e":{}}}]}}'),
        ("hits.hits._source.arr.name", b'{"hits":{"hits":[{"_source":{"arr":[{"name":"a"}]}}]}}'),
        ("hits.hits._source.arr", b'{"hits":{"hits":[{"_source":{"arr":[{"name":"a","q":1},{"q":2},3,[],{}]}}]}}'),
        ("**.name", b'{"hits":{"hits":[{"_source":{"name":"n","arr":[{"name":"a"}]}}]}}'),
        ("h*s.h*.*.n*", b'{"hits":{"hits":[{"_source":{"name":"n"}}]}}'),
        ("**.a\\.b.c", b'{"hits":{"hits":[{"_source":{"a.b":{"c":1}}}]}}'),
        ("hits.total.", b'{"hits":{"total":{"value":2}}}'),
        ("hits..total", b"{}"),
        ("-hits", b'{"took":1}'),
        ("-*", b"{}"),
        ("hits.hits,-hits.hits._source", b'{"hits":{"hits":[{"_id":"1"},{"_id":"2"}]}}'),
        ("hits.hits._source.arr,-**.q", b'{"hits":{"hits":[{"_source":{"arr":[{"name":"a"},3]}}]}}'),
        ("**", RESPONSE),
        ("-nothing", RESPONSE),
        ("", RESPONSE),
        (",", RESPONSE),
    ],
)
def test_what_is_left(paths, left):
    assert filtered(RESPONSE, parsed(paths)) == left


def test_lone_surrogates_stay():
    assert filtered(b'{"a":{"b":"\\ud83d"},"c":1}', parsed("*.b")) == b'{"a":{"b":"\\ud83d"}}'


def test_depth_and_wildcards_have_an_end():
    deep = b'{"a":' * 900 + b'{"x":1}' + b"}" * 900
    assert filtered(deep, parsed("**.x")) == b"{}"
    assert filtered(deep, parsed("-**.x")) == deep
    assert filtered(b'{"' + b"a" * 5000 + b'":1}', parsed("a*" * 50 + "b")) == b"{}"


def test_what_opensearch_refuses():
    with pytest.raises(NoPaths):
        parsed("took,-")
