"""Rewriting a search: the bytes to send, written out, and the reasons not to."""

from __future__ import annotations

import time

import pytest

from connectors.opensearch.rewrite.filter_path import NOTHING, Filters
from connectors.opensearch.rewrite.request import MAX_BODY, MAX_QUERY, Plan, Unranked, plan
from connectors.opensearch.rewrite.search_body import SearchBody
from sidecar.core.documents import PassageFields
from sidecar.core.errors import ConfigurationError

MATCH = b'"query":{"match":{"text":"red fox"}}'
SECOND_QUERY = b'{"query":{"dis_max":{"queries":[{"match_all":{}},{"match":{"t":"red"}}]}}'


def planned(body, window=100, **params):
    made = plan(SearchBody(body), window=window, fields=PassageFields(("title",), ("text", "body")), params=params)
    assert isinstance(made, Plan), made
    return made


def unranked(body, **params):
    made = plan(SearchBody(body), window=100, fields=PassageFields(("title",), ("text", "body")), params=params)
    assert isinstance(made, Unranked), made
    return made


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b"{" + MATCH + b"}", b"{" + MATCH + b',"from":0,"size":100}'),
        (b'{"size":5,' + MATCH + b',"from":20}', b'{"size":100,' + MATCH + b',"from":0}'),
        (b"{" + MATCH + b',"from":90,"size":20}', b"{" + MATCH + b',"from":0,"size":110}'),
        (
            b'{ "aggs" : {"n":{"stats":{"field":"n","missing": 0.10}}} , ' + MATCH + b"}",
            b'{"aggs":{"n":{"stats":{"field":"n","missing": 0.10}}},' + MATCH + b',"from":0,"size":100}',
        ),
        (
            b"{" + MATCH + b',"min_score":1e-400,"ext":{"a":1e400,"rerank":{"query_context":{"query_text":"x"}}}}',
            b"{" + MATCH + b',"min_score":1e-400,"ext":{"a":1e400},"from":0,"size":100}',
        ),
        (
            b"{" + MATCH + b',"ext":{"rerank":{"query_context":{"query_text":"x"}}}}',
            b"{" + MATCH + b',"from":0,"size":100}',
        ),
        (
            b"{" + MATCH + b',"highlight":{"pre_tags":["\\u003cb\\ud83d"]}}',
            b"{" + MATCH + b',"highlight":{"pre_tags":["\\u003cb\\ud83d"]},"from":0,"size":100}',
        ),
    ],
)
def test_only_the_page_and_our_ext_are_rewritten(body, sent):
    assert planned(body).body == sent


@pytest.mark.parametrize(
    ("page", "params", "start", "size", "fetched"),
    [
        (b"", {}, 0, 10, 100),
        (b',"from":30', {}, 30, 10, 100),
        (b',"from":95', {}, 95, 10, 105),
        (b',"size":250', {}, 0, 250, 250),
        (b',"size":"7","from":2.0', {}, 2, 7, 100),
        (b',"from":1,"size":2', {"from": "3", "size": "4"}, 3, 4, 100),
    ],
)
def test_the_page_is_remembered_and_the_window_stays(page, params, start, size, fetched):
    made = planned(b"{" + MATCH + page + b"}", **params)
    assert (made.start, made.size, made.window) == (start, size, 100)
    assert b'"from":0' in made.body
    assert b'"size":%d' % fetched in made.body


def test_the_original_is_kept_without_our_ext():
    body = b"{ " + MATCH + b',"size":5}'
    assert planned(body).original == body
    with_ext = b"{ " + MATCH + b',"ext":{"rerank":{"query_context":{"query_text":"x"}}}}'
    assert planned(with_ext).original == b"{" + MATCH + b"}"


def test_params_lose_from_and_size_alone():
    params = {"from": 3, "size": 4, "routing": "a", "timeout": "1s"}
    assert planned(b"{" + MATCH + b"}", **params).params == {"routing": "a", "timeout": "1s"}


def test_a_filter_path_is_kept_and_nothing_is_hidden_meanwhile():
    made = planned(b"{" + MATCH + b"}", filter_path="took, hits.hits._id,-a\\.b.c")
    assert made.params == {"filter_path": NOTHING}
    assert made.filters == Filters((("took",), ("hits", "hits", "_id")), (("a.b", "c"),))
    assert planned(b"{" + MATCH + b"}", filter_path="").filters is None


def test_the_window_is_the_callers_choice():
    assert planned(b"{" + MATCH + b"}", window=1000).body == b"{" + MATCH + b',"from":0,"size":1000}'
    assert planned(b"{" + MATCH + b"}", window=3).body == b"{" + MATCH + b',"from":0,"size":10}'
    with pytest.raises(ConfigurationError, match="window is 0"):
        plan(SearchBody(b"{}"), window=0)


@pytest.mark.parametrize(
    ("body", "params", "query"),
    [
        (b"{" + MATCH + b"}", {}, "red fox"),
        (b"{" + MATCH + b',"ext":{"rerank":{"query_context":{"query_text":"Which fox?"}}}}', {}, "Which fox?"),
        (
            b"{" + MATCH + b',"ext":{"rerank":{"query_context":{"query_text_path":"query.match.text"}}}}',
            {},
            "red fox",
        ),
        (
            SECOND_QUERY
            + b',"ext":{"rerank":{"query_context":{"query_text_path":"query.dis_max.queries.1.match.t"}}}}',
            {},
            "red",
        ),
        (b"{" + MATCH + b"}", {"q": "title:dog AND cat"}, "dog cat"),
        (b"", {"q": "dog"}, "dog"),
        (b'{"query":{"match":{"text":"fox \\ud83d"}}}', {}, "fox \ufffd"),
    ],
)
def test_the_query_text(body, params, query):
    assert planned(body, **params).query == query


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (b',"size":0', "size is 0: there are no hits to rerank"),
        (b',"size":-1', "size is not a whole number from 0 on"),
        (b',"from":null', "from is not a whole number from 0 on"),
        (b',"size":true', "size is not a whole number from 0 on"),
        (b',"size":1e400', "size is not a whole number from 0 on"),
        (b',"size":"1_0"', "size is not a whole number from 0 on"),
        (b',"from":" 1"', "from is not a whole number from 0 on"),
        (b',"sort":"date"', "the hits are sorted by something else than their score"),
        (b',"sort":["_score","_id"]', "the hits are sorted by something else than their score"),
        (b',"sort":[{"_score":"asc"}]', "the hits are sorted by something else than their score"),
        (b',"sort":[{"_score":{"order":"asc"}}]', "the hits are sorted by something else than their score"),
        (b',"sort":null', "the hits are sorted by something else than their score"),
        (b',"search_after":[1.5]', "search_after pages by sort values, which reranking would break"),
        (b',"pit":{"id":"a"}', "a point in time pages by sort values, which reranking would break"),
        (b',"slice":{"id":0,"max":2}', "a slice is part of a scroll, which keeps its own order"),
        (
            b',"retriever":{"standard":{}}',
            "a retriever ranks windows of its own; write its query as query, and the sidecar reranks its hits",
        ),
        (b',"knn":{"k":3}', "knn adds its own nearest hits to those of the query; write it as a clause of query"),
        (b',"rank":{"rrf":{}}', "rank orders the hits of several searches by itself"),
        (b',"sub_searches":[]', "sub_searches are ranked together by something else than their scores"),
        (b',"newest_first":true', "the sidecar does not know 'newest_first' in a search, and it may order the hits"),
        (b',"stored_fields":"_none_"', "stored_fields _none_ leaves no text to rerank by"),
        (b',"fields":"title"', "fields is not a list"),
    ],
)
def test_what_is_not_reranked_goes_untouched(extra, reason):
    body = b"{ " + MATCH + extra + b"}"
    assert unranked(body) == Unranked(reason, body)


@pytest.mark.parametrize(
    "sort", [b"[]", b'"_score"', b'["_score"]', b'{"_score":"desc"}', b'[{"_score":{"order":"desc"}}]']
)
def test_a_sort_by_score_alone_is_no_obstacle(sort):
    assert planned(b"{" + MATCH + b',"sort":' + sort + b"}").query == "red fox"


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"size": "0"}, "size is 0: there are no hits to rerank"),
        ({"size": "2.0"}, "size is not a whole number from 0 on"),
        ({"scroll": "1m"}, "a scroll keeps its own order over all its pages"),
        ({"sort": "date:desc"}, "the hits are sorted by something else than their score"),
        ({"source": "{}"}, "the body came in the URL (source)"),
        ({"filter_path": "took,-"}, "filter_path excludes nothing by -"),
        ({"format": "yaml"}, "the response was asked for in another format than JSON"),
        ({"stored_fields": "_none_"}, "stored_fields _none_ leaves no text to rerank by"),
        ({"q": "-dog"}, "no query text found; name it in ext.rerank.query_context.query_text"),
    ],
)
def test_url_parameters_count_too(params, reason):
    body = b"{" + MATCH + b"}"
    assert unranked(body, **params) == Unranked(reason, body)
    assert planned(body, sort="_score:desc", format="json").query == "red fox"


@pytest.mark.parametrize(
    "body",
    [
        b'{"query":',
        b"[]",
        b"fox",
        b'{"size":1,"size":2}',
        b'{"query":{"match":{"a":"x","a":"y"}}}',
        b'{"a":"\xff"}',
        b'{"a":' * 100_000,
    ],
)
def test_malformed_bodies_are_left_to_the_engine(body):
    assert unranked(body) == Unranked("the body is not well-formed JSON", body)


def test_what_a_body_costs_has_an_end():
    started = time.perf_counter()
    assert len(planned(b'{"query":{"match":{"text":"' + b"fox " * 1_000_000 + b'"}}}').query) == MAX_QUERY
    assert unranked(b"{" + MATCH + b',"a":"' + b"x" * MAX_BODY + b'"}').reason == "the body is larger than 10 MB"
    assert planned(b"{" + MATCH + b',"aggs":' + b"[" * 900 + b"]" * 900 + b"}").query == "red fox"
    assert unranked(b"{" + MATCH + b',"a":' + b"[" * 9000 + b"]" * 9000 + b"}").reason.endswith("well-formed JSON")
    assert (
        unranked(b'{"query":' + b'{"bool":{"must":' * 300 + b'{"match":{"a":"b"}}' + b"}}" * 300 + b"}").reason
        == NO_TEXT
    )
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize("number", [b"1e400", b"NaN", b"-Infinity", b"1" * 5000, b"0" * 50])
def test_numbers_that_are_none(number):
    body = b'{"query":{"match":{"text":' + number + b"}}}"
    made = plan(SearchBody(body))
    assert (made.body if isinstance(made, Unranked) else made.original) == body


NO_TEXT = "no query text found; name it in ext.rerank.query_context.query_text"
EXACTLY_ONE = "ext.rerank.query_context needs exactly one of query_text and query_text_path"


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        (b'{"query_text":""}', NO_TEXT),
        (b"{}", EXACTLY_ONE),
        (b"3", EXACTLY_ONE),
        (b'{"query_text":"a","query_text_path":"query"}', EXACTLY_ONE),
        (b'{"query_text":3}', "ext.rerank: 'query_text' is not a text"),
        (b'{"query_text_path":"query.match"}', "ext.rerank: 'query.match' is not a text"),
        (b'{"query_text_path":"nothing.there"}', "ext.rerank: 'nothing.there' is not a text"),
        (
            b'{"query_text_path":"' + b"a" * 1001 + b'"}',
            "ext.rerank: query_text_path is not a path of at most 1000 characters",
        ),
    ],
)
def test_a_wrong_ext_rerank_is_named_and_never_forwarded(context, reason):
    body = b"{" + MATCH + b',"ext":{"rerank":{"query_context":' + context + b"}}}"
    assert unranked(body) == Unranked(reason, b"{" + MATCH + b"}")


def test_without_query_text():
    assert unranked(b"") == Unranked(NO_TEXT, b"")
    assert unranked(b'{"query":{"match_all":{}}}') == Unranked(NO_TEXT, b'{"query":{"match_all":{}}}')


@pytest.mark.parametrize(
    ("extra", "params"),
    [
        (b"", {}),
        (b',"_source":true', {}),
        (b',"_source":"*"', {}),
        (b',"_source":[]', {}),
        (b',"_source":{"includes":[],"excludes":[]}', {}),
        (b',"_source":false', {"_source": "true"}),
        (b',"stored_fields":["n"],"_source":true', {}),
    ],
)
def test_a_whole_source_needs_no_fields(extra, params):
    made = planned(b"{" + MATCH + extra + b"}", **params)
    assert made.borrowed == frozenset()
    assert b'"fields"' not in made.body


@pytest.mark.parametrize(
    ("extra", "params"),
    [
        (b',"_source":false', {}),
        (b',"_source":""', {}),
        (b',"_source":"n"', {}),
        (b',"_source":["n","title"]', {}),
        (b',"_source":{"excludes":["text"]}', {}),
        (b',"stored_fields":["n"]', {}),
        (b"", {"_source": "false"}),
        (b',"_source":true', {"_source_includes": "n"}),
        (b"", {"_source_excludes": "text"}),
        (b"", {"stored_fields": "n"}),
    ],
)
def test_text_that_source_filters_hide_is_borrowed(extra, params):
    made = planned(b"{" + MATCH + extra + b"}", **params)
    assert made.borrowed == {"title", "text", "body"}
    assert b'"fields":["title","text","body"]' in made.body


def test_fields_the_caller_asked_for_are_not_borrowed():
    extra = b',"_source":false,"fields":["ti*",{"field":"date","format":"yyyy"}]'
    made = planned(b"{" + MATCH + extra + b"}")
    assert made.borrowed == {"text", "body"}
    assert b'"fields":["ti*",{"field":"date","format":"yyyy"},"text","body"]' in made.body
    assert planned(b"{" + MATCH + b',"_source":false,"fields":["*"]}').borrowed == frozenset()


@pytest.mark.parametrize(
    ("extra", "params"),
    [
        (b',"docvalue_fields":["text",{"field":"body"}]', {}),
        (b',"stored_fields":["text","body"]', {}),
        (b"", {"stored_fields": "text,body"}),
        (b',"collapse":{"field":"text"},"script_fields":{"body":{"script":"1"}}', {}),
    ],
)
def test_what_else_writes_into_fields_is_not_borrowed_either(extra, params):
    assert planned(b"{" + MATCH + b',"_source":false' + extra + b"}", **params).borrowed == {"title"}
