"""Bodies that OpenSearch's parser takes beyond strict JSON: encodings, byte order marks, comments."""

from __future__ import annotations

import json
import time

import pytest

from connectors.opensearch.rewrite.request import Plan, plan
from connectors.opensearch.rewrite.search_body import SearchBody, json_text

PLAIN = '{"query":{"match":{"text":"höhle // /* no comment */ \\"//"}},"size":3}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_the_encoding_is_told_by_the_first_bytes(encoding):
    assert json_text(PLAIN.encode(encoding)) == PLAIN.encode()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('/* a */{"size":3}// b', ' {"size":3} '),
        ('{// a " b\n"size"/**/:/* " */3}', '{ \n"size" : 3}'),
        ('{"a":"http://x/*","b":1}', '{"a":"http://x/*","b":1}'),
        ('{"a":"\\\\"/* b */}', '{"a":"\\\\" }'),
        ('{"a":1/* never ends', '{"a":1/* never ends'),
        ('{"a":"never ends // b', '{"a":"never ends // b'),
        ("", ""),
        ("//", " "),
    ],
)
def test_comments_go_and_strings_stay(body, text):
    assert json_text(body.encode()).decode() == text


def planned(body, **options):
    return plan(SearchBody(body), **options)


@pytest.mark.parametrize("part", [b'\\"', b"/*", b'"', b"//", b'"/*'])
def test_a_body_made_to_be_slow_is_not(part):
    started = time.perf_counter()
    json_text(b'//\n"' + part * 500_000)
    json_text(b"/*/" + part * 500_000)
    assert time.perf_counter() - started < 5


def test_what_is_sent_is_strict_json_and_keeps_half_a_surrogate():
    body = b'\xef\xbb\xbf{/* a */"query":{"match":{"text":"fox \\ud83d"}},"ext":{"rerank":{}},"size":3}'
    found = planned(body)
    assert isinstance(found, Plan)
    assert found.original == b'{"query":{"match":{"text":"fox \\ud83d"}},"size":3}'
    assert json.loads(found.body)["size"] == 100
    assert isinstance(planned('{"query":{"match":{"text":"fox"}}}'.encode("utf-16")), Plan)
    assert isinstance(planned(b'{"query":{"match":{"text":"fox \xed\xa0\xbd"}}}'), Plan)


@pytest.mark.parametrize(
    "sort", ['{"_score":"DESC"}', '[{"_score":{"order":"Desc"}}]', '{"_score":{}}', '"_score"', '["_score"]', "[]"]
)
def test_sorts_that_are_the_default(sort):
    assert isinstance(planned(b'{"query":{"match":{"text":"fox"}},"sort":%s}' % sort.encode()), Plan)


@pytest.mark.parametrize(
    "sort", ['{"_score":"asc"}', '"_score:desc"', '["_score","_score"]', '[["_score"]]', '{"_score":{"missing":1}}']
)
def test_sorts_that_are_another_order_or_show_their_values(sort):
    assert not isinstance(planned(b'{"query":{"match":{"text":"fox"}},"sort":%s}' % sort.encode()), Plan)


@pytest.mark.parametrize(("sort", "same"), [("_score:DESC", True), ("_score", True), ("_score:asc", False)])
def test_sorts_of_the_url(sort, same):
    assert isinstance(planned(b'{"query":{"match":{"text":"fox"}}}', params={"sort": sort}), Plan) is same
