"""Runs as they are written and read back, and the measures over them."""

from __future__ import annotations

import json
import math

import pytest

from sidecar.core.candidates import Candidate, Passage, Ranked, Ranking
from sidecar.core.errors import InputError
from sidecar.experiments.evaluate import Comparison, Evaluation, evaluate, paired_p, parse_measures, write_by_query
from sidecar.experiments.qrels import read_qrels
from sidecar.experiments.run_files import (
    RunFormat,
    candidate_list,
    first_stage,
    formatted,
    run_hits,
    run_scores,
    strictly_falling,
)
from sidecar.experiments.run_reading import read_run


def ranked(docid: str, first_rank: int, rank: int, score: float | None) -> Ranked:
    return Ranked(Candidate(docid, first_rank, 10.0 - first_rank, Passage("", docid)), rank, score, score)


RANKING = Ranking("the query", (ranked("b", 2, 1, 1.5), ranked("a", 1, 2, -0.5), ranked("c", 3, 3, None)), {})
DOCS = [b'{"n": 0.10}', b'"b"', b"null"]


def written(run_format: RunFormat) -> str:
    return formatted(candidate_list("q1", RANKING.query, run_hits(RANKING, DOCS)), run_format, "tag")


def test_trec():
    assert written(RunFormat.TREC) == "q1 Q0 b 1 1.5 tag\nq1 Q0 a 2 -0.5 tag\nq1 Q0 c 3 -1.5 tag\n"


def test_msmarco():
    assert written(RunFormat.MSMARCO) == "q1\tb\t1\nq1\ta\t2\nq1\tc\t3\n"


def test_the_first_stage_of_a_list():
    line = candidate_list("q1", RANKING.query, run_hits(RANKING, None))
    assert b"doc" not in line.replace(b"docid", b"")
    assert formatted(first_stage(line), RunFormat.TREC, "bm25") == (
        "q1 Q0 a 1 9.0 bm25\nq1 Q0 b 2 8.0 bm25\nq1 Q0 c 3 7.0 bm25\n"
    )
    with_docs = candidate_list("q1", RANKING.query, run_hits(RANKING, DOCS))
    assert [hit["doc"] for hit in json.loads(first_stage(with_docs))["candidates"]] == [{"n": 0.1}, "b", None]


def test_jsonl_keeps_documents_as_they_came():
    line = written(RunFormat.JSONL)
    assert '"doc":{"n": 0.10}' in line
    found = json.loads(line)
    assert found["query"] == {"text": "the query", "qid": "q1"}
    assert found["candidates"][0] == {
        "docid": "b",
        "score": 1.5,
        "doc": "b",
        "rerank_score": 1.5,
        "first_stage_score": 8.0,
        "first_stage_rank": 2,
    }
    assert [(c["docid"], c["score"], c["rerank_score"]) for c in found["candidates"]] == [
        ("b", 1.5, 1.5),
        ("a", -0.5, -0.5),
        ("c", -1.5, None),
    ]


def test_without_any_scored_hit_the_first_stage_scores_stay():
    assert run_scores([ranked("a", 1, 1, None), ranked("b", 2, 2, None)]) == [9.0, 8.0]


def test_equal_scores_fall_by_one_step_of_single_precision():
    step = 2.0**-23  # the gap above 1
    assert strictly_falling([1.0, 1.0, 1.0, 0.5]) == [1.0, 1.0 - step / 2, 1.0 - step, 0.5]
    assert strictly_falling([0.0, 0.0]) == [0.0, -(2.0**-149)]
    assert strictly_falling([-1.0, -1.0]) == [-1.0, -1.0 - step]
    assert strictly_falling([2.0**-149, 2.0**-149, 2.0**-149]) == [2.0**-149, 0.0, -(2.0**-149)]


@pytest.mark.parametrize("run_format", list(RunFormat))
def test_every_format_reads_back_in_order(tmp_path, run_format):
    path = tmp_path / "run"
    path.write_text(written(run_format))
    assert sorted(read_run(path)["q1"], key=read_run(path)["q1"].get, reverse=True) == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q1 Q0 d 1 1.0 tag\nq1 d\n", "run:2: neither a TREC line"),
        ("q1 Q0 d 1 -inf tag\n", "run:1: the score '-inf' is not a finite number"),
        ("q1 Q0 d 1 1_0 tag\n", "run:1: the score '1_0' is not a finite number"),
        ("q1 Q0 d 1 1e999 tag\n", "run:1: the score '1e999' is not a finite number"),
        ("q1\td\tfirst\n", "run:1: the rank 'first' is not a whole number"),
        ("q1\td\t12.5\n", "run:1: the rank '12.5' is not a whole number"),
        ("q1 Q0 d 1 1.0 my tag\n", "run:1: neither a TREC line .* but 7 columns"),
        ('{"query": {"qid": "q"}, "candidates": [{"docid": "d", "score": NaN}]}', "run:1: .*NaN is not JSON"),
        ("q1 Q0 d 1 nan tag\n", "run:1: the score 'nan' is not a finite number"),
        ("q1\td\t1\nq1\td\t2\n", "run:2: document 'd' is listed twice"),
        ('{"query": {"qid": "q"}}\n', "run:1: no candidate list"),
        ("", "run holds no result"),
    ],
)
def test_a_malformed_run_is_named(tmp_path, text, message):
    (tmp_path / "run").write_text(text)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path / "run")


@pytest.mark.parametrize(
    "text",
    [
        "query-id\tcorpus-id\tscore\nq1\ta\t2\nq2\tb\t0\n",
        "q1 0 a 2\nq2 0 b 0\n",
        "q1 0 a 2.0\nq2 0 b 0.0\n",  # the first line is no header, whatever its grade looks like
        "q1 0 a 2\nq2 0 b 0\nq1 0 a 2\n",
        "QID ITER DOCNO REL\nq1 0 a 2\nq2 0 b +0\n",
        "qid\tdocid\tlabel\nq1\ta\t2\nq2\tb\t0\n",
    ],
)
def test_qrels_of_both_shapes(tmp_path, text):
    (tmp_path / "qrels").write_text(text)
    assert read_qrels(tmp_path / "qrels") == {"q1": {"a": 2}, "q2": {"b": 0}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q1 0 a 2\nq1 a two\n", "qrels:2: the grade 'two' is not a whole number"),
        ("q1 0 a 2\nq1 a\n", "qrels:2: no judgement"),
        ("\n", "holds no judgement"),
        ("q1 0 a 2.5\n", "qrels:1: the grade '2.5' is not a whole number"),
        ("q1 0 a nan\n", "qrels:1: the grade 'nan'"),
        (f"q1 0 a {'9' * 5000}\n", "qrels:1: the grade '999"),
        ("qid docid\n", "qrels:1: no judgement"),
        ("query-id\tcorpus-id\tgood\nq1\ta\t2\n", "qrels:1: the grade 'good'"),
        ("q0 0 b 1\nquery-id corpus-id score\n", "qrels:2: the grade 'score'"),
        ("q1\tdoc 1\t2\n", "qrels:1: no judgement"),
        (
            "q1 0 b 1\nq1 0 a 2\nq1 0 b 1\nq1 0 a 0\n",
            r"qrels:4: document 'a' of query 'q1' is judged 0, but 2 in .*qrels:2\.",
        ),
        ("q1 0 a 2 extra\n", "qrels:1: no judgement"),
    ],
)
def test_malformed_qrels_are_named(tmp_path, text, message):
    (tmp_path / "qrels").write_text(text)
    with pytest.raises(InputError, match=message):
        read_qrels(tmp_path / "qrels")


def test_measures_over_all_judged_queries(tmp_path):
    (tmp_path / "run").write_text(written(RunFormat.TREC))
    qrels = {"q1": {"a": 1}, "q2": {"z": 1}}
    (found,) = evaluate([tmp_path / "run"], qrels, parse_measures("nDCG@10,RR(rel=1)@10,R@100"))
    # the one relevant document stands at rank 2: gain 1/log2(3), reciprocal rank 1/2; q2 has no result and counts 0
    assert found == Evaluation(
        run=str(tmp_path / "run"),
        values={
            "nDCG@10": pytest.approx(1 / math.log2(3) / 2),
            "RR@10": pytest.approx(1 / 2 / 2),
            "R@100": pytest.approx(1 / 2),
        },
        queries=2,
        missing=1,
        unjudged=0,
        against_first={},
        by_query={
            "nDCG@10": {"q1": pytest.approx(1 / math.log2(3)), "q2": 0.0},
            "RR@10": {"q1": 0.5, "q2": 0.0},
            "R@100": {"q1": 1.0, "q2": 0.0},
        },
    )
    write_by_query([found], tmp_path / "values.tsv")
    lines = (tmp_path / "values.tsv").read_text().splitlines()
    assert lines[0] == "run\tquery\tmeasure\tvalue"
    assert lines[3] == f"{tmp_path / 'run'}\tq1\tRR@10\t0.5"
    assert len(lines) == 1 + 3 * 2


def test_runs_are_compared_with_the_first_by_a_paired_t_test(tmp_path):
    qrels = {f"q{i}": {"good": 1} for i in range(4)}
    lists = {
        "first": ["bad good", "bad good", "good bad", "bad good"],  # reciprocal ranks 1/2, 1/2, 1, 1/2
        "other": ["good bad", "good bad", "good bad", "bad good"],  # 1, 1, 1, 1/2
    }
    for name, orders in lists.items():
        lines = [
            f"q{i}\t{docid}\t{rank}" for i, order in enumerate(orders) for rank, docid in enumerate(order.split(), 1)
        ]
        (tmp_path / name).write_text("\n".join(lines))
    runs = [tmp_path / "first", tmp_path / "other", tmp_path / "first"]
    found = evaluate(runs, qrels, parse_measures("RR,NumRet"))
    assert [one.values for one in found] == [{"RR": mean, "NumRet": 8.0} for mean in (0.625, 0.875, 0.625)]
    # Differences 1/2, 1/2, 0, 0: mean 1/4, sample deviation 1/√12, so t = (1/4)/(1/√12/2) = √3 with 3 degrees of
    # freedom, whose two-sided p is 1 − (2/π)(arctan(1) + 1/2) = 1/2 − 1/π.
    assert found[0].against_first == {}
    assert found[1].against_first == {
        "RR": Comparison(0.25, pytest.approx(0.5 - 1 / math.pi), wins=2, ties=2, losses=0),
        "NumRet": Comparison(0.0, 1.0, wins=0, ties=4, losses=0),
    }
    same = Comparison(0.0, 1.0, wins=0, ties=4, losses=0)
    assert found[2].against_first == {"RR": same, "NumRet": same}


def test_queries_keep_their_ids_where_the_program_knows_only_numbers(tmp_path):
    # gdeval drops all before a hyphen, and so took both queries for "1"; other ids ended it.
    qrels = {"a-1": {"good": 1}, "b-1": {"good": 1}, "fleas": {"good": 1}}
    lines = [
        f"{qid} Q0 {docid} {rank} {-rank} x\n"
        for qid, docids in (("a-1", "good bad"), ("b-1", "bad good"), ("fleas", "bad bad2"))
        for rank, docid in enumerate(docids.split(), 1)
    ]
    (tmp_path / "run").write_text("".join(lines))
    (found,) = evaluate([tmp_path / "run"], qrels, parse_measures("ERR@20,RR"))
    # A document of grade 1 of at most 4 stops a reader with (2¹ − 1)/2⁴.
    assert found.by_query["ERR@20"] == pytest.approx({"a-1": 1 / 16, "b-1": 1 / 32, "fleas": 0.0}, abs=1e-5)
    assert found.values == {"ERR@20": pytest.approx(1 / 32, abs=1e-5), "RR": pytest.approx(0.5)}


@pytest.mark.parametrize("text", ["nDCG@0", "P@0", "AP(rel=0)", "Success@0", "Judged@0", "RR@10,R(rel=0)@5"])
def test_a_cutoff_or_a_grade_of_0_is_refused(text):
    # trec_eval's library ends the whole process on some of them.
    with pytest.raises(InputError, match="is not a measure: its .* is below 1"):
        parse_measures(text)


@pytest.mark.parametrize("text", ["nDGC@10", "AP(", "nDCG(nothing=1)@10", ""])
def test_an_unknown_measure_is_refused(text):
    with pytest.raises(InputError, match="measure"):
        parse_measures(text)


def test_a_run_of_another_collection_is_refused(tmp_path):
    (tmp_path / "run").write_text(written(RunFormat.TREC))
    with pytest.raises(InputError, match="none of the judged queries"):
        evaluate([tmp_path / "run"], {"other": {"a": 1}}, parse_measures("AP"))


def test_judgements_of_another_collection_are_an_error_and_no_zero(tmp_path):
    (tmp_path / "run").write_text("q1 Q0 a 1 2 x\nq1 Q0 b 2 1 x\nq2 Q0 c 1 1 x\n")
    with pytest.raises(InputError, match="none of the documents in .* is judged for any query"):
        evaluate([tmp_path / "run"], {"q1": {"MED-1": 1}, "q2": {"MED-2": 1}}, parse_measures("AP"))
    # A document that is judged for another query shows that the collection is the same: this 0 is a result.
    (found,) = evaluate([tmp_path / "run"], {"q1": {"d": 1}, "q2": {"a": 0}}, parse_measures("AP"))
    assert found.values == {"AP": 0.0}


def test_equal_scores_and_a_wrong_order_are_said(tmp_path):
    (tmp_path / "run").write_text("q1 Q0 a 1 1 x\nq1 Q0 b 2 1 x\nq2 Q0 c 1 1 x\nq2 Q0 d 2 2 x\n")
    (found,) = evaluate([tmp_path / "run"], {"q1": {"a": 1}, "q2": {"d": 1}}, parse_measures("RR"))
    # trec_eval has b before a, by their ids, and d before c, by their scores.
    assert found.by_query == {"RR": {"q1": 0.5, "q2": 1.0}}
    assert found.irregular.startswith("1 queries have equal scores")
    assert "1 queries are not sorted" in found.irregular


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(0.5, 0.5)] * 3, 1.0),
        ([(0.0, 1.0)] * 3, 0.0),
        ([(0.25, 0.75), (0.25, 0.75 + 1e-16)], 0.0),
        ([(0.1, 0.2)], math.nan),
    ],
)
@pytest.mark.filterwarnings("error")
def test_differences_that_are_all_alike_have_a_p_and_no_warning(pairs, expected):
    assert paired_p([two - one for one, two in pairs]) == pytest.approx(expected, abs=1e-12, nan_ok=True)
