"""The engine's own response, byte for byte, with its hits in another order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.opensearch import raw_json
from connectors.opensearch.respond import response
from connectors.opensearch.respond.additions import NO_ADDITIONS, Additions
from connectors.opensearch.rewrite.filter_path import parsed
from connectors.opensearch.rewrite.request import Plan
from sidecar.core.candidates import Candidate, Passage, Ranked, Ranking
from sidecar.core.documents import PassageFields

# Everything a re-encoder would spoil: 0.10, 1e400, 25 digits, escapes, white space inside values, lone surrogates.
HEAD = (
    b'{"took":3,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0},'
    b'"hits":{"total":{"value":4,"relation":"eq"},"max_score":'
)
TAIL = b'},"aggregations":{"n":{"value":0.10,"as_string":"1e400"}},"x":[ 1e400 ,\n 1234567890123456789012345]}'
A = b'{"_index":"i","_id":"a","_score":%s,"_source":{"title":"A","text":"caf\\u00e9","n":0.10},"highlight":{"t":[ ]}}'
B = b'{"_index":"i","_id":"b","_score":%s,"_source":{ "text":"b", "n":1e400 },"sort":[1]}'
C = b'{"_index":"i","_id":"c","_score":%s,"_source":{"n":1234567890123456789012345}}'
D = b'{"_index":"i","_id":"d","_score":%s,"_source":{"text":"d","bad":"\\ud83d"}}'


def whole(max_score, *hits):
    return HEAD + max_score + b',"hits":[' + b",".join(hits) + b"]" + TAIL


FOUR = whole(b"4.5", A % b"4.5", B % b"3.25", C % b"2.0", D % b"0.1")


def a_plan(start=0, size=10, window=100, borrowed=()):
    return Plan(b"", b"", {}, "red fox", start, size, window, frozenset(borrowed))


def listed(raw, plan):
    answer = response.read(raw)
    return answer, response.candidates(answer, plan, PassageFields(("title",), ("text",)))


def ranking(candidates, *scores):
    """Rank by the given scores, one a candidate, None where it was not scored."""
    pairs = list(zip(candidates, scores, strict=True))
    order = sorted(pairs, key=lambda pair: (pair[1] is None, -(pair[1] or 0.0)))
    return Ranking("q", tuple(Ranked(c, rank, score, score) for rank, (c, score) in enumerate(order, 1)), {})


def test_candidates_carry_what_the_engine_found():
    _, found = listed(FOUR, a_plan(window=3))
    assert found == [
        Candidate("a", 1, 4.5, Passage("A", "caf\u00e9")),
        Candidate("b", 2, 3.25, Passage("", "b")),
        Candidate("c", 3, 2.0, Passage("", "")),
    ]


@pytest.mark.parametrize(
    ("start", "size", "page"),
    [
        (0, 10, [B % b"3.0", A % b"1.0", C % b"0.5", D % b"0.3333333333333333"]),
        (0, 2, [B % b"3.0", A % b"1.0"]),
        (1, 2, [A % b"1.0", C % b"0.5"]),
        (3, 5, [D % b"0.3333333333333333"]),
        (4, 5, []),
    ],
)
def test_pages_are_slices_of_one_list(start, size, page):
    plan = a_plan(start, size, window=3)
    answer, found = listed(FOUR, plan)
    # B 2 → 2 + 1, A 0 → 0 + 1; C has no text and follows with 1/2, D lies beyond the window with 1/3.
    assert response.respond(answer, plan, ranking(found, 0.0, 2.0, None)) == whole(b"3.0", *page)


def test_negative_scores_become_positive():
    plan = a_plan()
    answer, found = listed(FOUR, plan)
    reranked = response.respond(answer, plan, ranking(found, -2.0, -1.0, None, -3.0))
    assert reranked == whole(
        b"0.36787944117144233",
        B % b"0.36787944117144233",
        A % b"0.1353352832366127",
        D % b"0.049787068367863944",
        C % b"0.024893534183931972",
    )


def test_if_nothing_was_scored_the_engines_scores_stay():
    plan = a_plan(start=1, size=2)
    answer, found = listed(FOUR, plan)
    assert response.respond(answer, plan, ranking(found, None, None, None, None)) == whole(
        b"4.5", B % b"3.25", C % b"2.0"
    )


def test_a_hit_the_ranking_forgot_is_not_lost():
    plan = a_plan()
    answer, found = listed(FOUR, plan)
    assert response.respond(answer, plan, ranking(found[2:3], 1.0)) == whole(
        b"2.0", C % b"2.0", A % b"1.0", B % b"0.6666666666666666", D % b"0.5"
    )


def test_no_hits_no_change():
    raw = whole(b"null")
    answer, found = listed(raw, a_plan())
    assert found == []
    assert response.respond(answer, a_plan(), ranking([])) == raw


def test_a_null_max_score_stays_null():
    plan = a_plan()
    answer, found = listed(whole(b"null", A % b"1.5"), plan)
    assert response.respond(answer, plan, ranking(found, 1.0)) == whole(b"null", A % b"2.0")


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        (b',"fields":{"text":["t"],"title":["T"]}', b""),
        (b',"fields":{"text":["t"],"n":[0.10],"title":["T"]}', b',"fields":{"n":[0.10]}'),
        (b"", b""),
    ],
)
def test_borrowed_fields_are_read_and_leave_again(fields, left):
    plan = a_plan(borrowed=("title", "text"))
    hit = b'{"_index":"i","_id":"a","_score":%s,"_source":{"text":"seen"}%s,"sort":[1]}'
    answer, found = listed(whole(b"1.5", hit % (b"1.5", fields)), plan)
    assert found[0].passage == (Passage("T", "t") if fields else Passage("", "seen"))
    assert response.respond(answer, plan, ranking(found, 0.5)) == whole(b"1.5", hit % (b"1.5", left))
    assert response.respond(answer, plan, ranking(found, None)) == whole(b"1.5", hit % (b"1.5", left))


@pytest.mark.parametrize(
    "raw",
    [b"", b"---\ntook: 1\n", b'{"error":{"type":"x"},"status":400}', b'{"hits":{"total":5}}', b'{"hits":{"hits":{}}}'],
)
def test_a_response_without_hits_is_malformed(raw):
    with pytest.raises(raw_json.Malformed):
        response.read(raw)


@pytest.mark.parametrize("score", [b"null", b"1e400", b'"NaN"'])
def test_a_hit_without_a_score_is_malformed(score):
    with pytest.raises(raw_json.Malformed):
        listed(whole(b"null", A % score), a_plan())


def test_failed_shards_are_counted():
    assert response.read(FOUR).failed_shards == 0
    assert response.read(FOUR.replace(b'"failed":0', b'"failed":2')).failed_shards == 2
    assert response.read(b'{"hits":{"hits":[]}}').failed_shards == 0


EXPLANATION = {"status": "applied"}
EACH = [{"rerank_score": 2.5}, {"rerank_score": 0.5}]
EXPLAINED_A = A[:-1] + b',"_rerank":{"rerank_score":0.5}}'
EXPLAINED_B = B[:-1] + b',"_rerank":{"rerank_score":2.5}}'


def test_took_and_the_explanation_are_written_with_the_page():
    answer, found = listed(FOUR, a_plan(size=3))
    added = Additions(took=lambda: 41, rerank=EXPLANATION, hits=EACH)
    made = response.respond(answer, a_plan(size=3), ranking(found[:2], 0.5, 2.5), added)
    page = whole(b"3.5", EXPLAINED_B % b"3.5", EXPLAINED_A % b"1.5", C % b"0.75")
    assert made == page.replace(b'"took":3', b'"took":41')[:-1] + b',"ext":{"rerank":{"status":"applied"}}}'


@pytest.mark.parametrize(
    ("filter_path", "rest"),
    [
        ("took", b'{"took":41,"hits":{"hits":[{"_rerank":{"rerank_score":2.5}},{"_rerank":{"rerank_score":0.5}}]},'),
        (
            "hits.hits._id",
            b'{"hits":{"hits":[{"_id":"b","_rerank":{"rerank_score":2.5}},{"_id":"a","_rerank":{"rerank_score":0.5}}]},',
        ),
    ],
)
def test_a_filter_path_keeps_the_explanation(filter_path, rest):
    plan = replace(a_plan(size=2), filters=parsed(filter_path))
    answer, found = listed(FOUR, plan)
    added = Additions(took=lambda: 41, rerank=EXPLANATION, hits=EACH)
    made = response.respond(answer, plan, ranking(found[:2], 0.5, 2.5), added)
    assert made == rest + b'"ext":{"rerank":{"status":"applied"}}}'


def test_a_filter_path_that_takes_the_hits_away_takes_their_explanations_too():
    plan = replace(a_plan(size=2), filters=parsed("-hits,-aggregations,-x,-_shards"))
    answer, found = listed(FOUR, plan)
    added = Additions(took=lambda: 41, rerank=EXPLANATION, hits=EACH)
    made = response.respond(answer, plan, ranking(found[:2], 0.5, 2.5), added)
    assert made == b'{"took":41,"timed_out":false,"ext":{"rerank":{"status":"applied"}}}'


@pytest.mark.parametrize(
    ("raw", "made"),
    [
        (b'{ "took" : 3 , "x" : [ 0.10 ] }', b'{"took":41,"x":[ 0.10 ],"ext":{"rerank":{"status":"applied"}}}'),
        (
            b'{"took":3,"ext":{"a":0.10,"rerank":1},"bad":"\\ud83d"}',
            b'{"took":41,"ext":{"a":0.10,"rerank":{"status":"applied"}},"bad":"\\ud83d"}',
        ),
        (b'{"hits":{}}', b'{"hits":{},"ext":{"rerank":{"status":"applied"}}}'),
        (b"[1]", b"[1]"),
        (b"took 3", b"took 3"),
    ],
)
def test_a_response_that_is_not_reranked_gets_the_additions_alone(raw, made):
    assert response.unranked(raw, Additions(took=lambda: 41, rerank=EXPLANATION)) == made


def test_without_additions_a_response_keeps_its_bytes():
    assert response.unranked(b'{ "took" : 3 }', NO_ADDITIONS) == b'{ "took" : 3 }'
