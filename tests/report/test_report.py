"""The figures of a report equal trec_eval's, and arithmetic written out."""

from __future__ import annotations

import json
import random

import pytest
import pytrec_eval

from sidecar.core.errors import ConfigurationError, InputError
from sidecar.report import tables
from sidecar.report.judged import by_window, recall_by_depth
from sidecar.report.page import page
from sidecar.report.report import Request, make_report
from sidecar.report.run_lists import load_runs
from tests.support.report_files import QRELS, write_lists, write_run


def test_the_means_are_those_of_trec_eval(tmp_path):
    random.seed(7)
    docids = [f"d{number}" for number in range(60)]
    qrels = {f"q{number}": {docid: random.choice([0, 0, 1, 2, 3]) for docid in docids[:40]} for number in range(12)}
    paths = []
    for name in ("one", "two"):
        # Few different scores: many ties.
        run = {qid: {docid: float(random.randint(1, 9)) for docid in random.sample(docids, 30)} for qid in qrels}
        path = tmp_path / name
        path.write_text("".join(f"{q} Q0 {d} 1 {s} t\n" for q, hits in run.items() for d, s in hits.items()))
        paths.append((path, run))
    report = make_report(Request([path for path, _ in paths], qrels=qrels, measures="nDCG@10,AP,RR,R@20"))
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "map", "recip_rank", "recall.20"})
    names = {"nDCG@10": "ndcg_cut_10", "AP": "map", "RR": "recip_rank", "R@20": "recall_20"}
    for (_, run), evaluation in zip(paths, report.evaluations, strict=True):
        expected = evaluator.evaluate(run)
        for measure, name in names.items():
            assert evaluation.values[measure] == pytest.approx(sum(q[name] for q in expected.values()) / 12)
            assert evaluation.by_query[measure] == {qid: pytest.approx(q[name]) for qid, q in expected.items()}
    # The recall of the curve is that of the measure, in the order of trec_eval.
    for run, evaluation in zip(report.runs, report.evaluations, strict=True):
        assert dict(recall_by_depth(run, qrels, 1))[20] == pytest.approx(evaluation.values["R@20"])


def test_the_tables_of_two_runs(two):
    report = make_report(Request(two, qrels=QRELS, measures="RR,P@1"))
    means = tables.means(report)
    # q1: a at 2, then at 1; q2: c at 2, then at 1; q3 has no result and counts as 0.
    assert [list(row) for row in means.rows] == [
        ["first.trec", "0.3333", "0.0000", "3"],
        ["model.jsonl", "0.6667", "0.6667", "3"],
    ]
    [row] = tables.pairs(report, "RR").rows
    assert row[:3] == ("model.jsonl", "first.trec", "+0.3333")
    assert row[-3:] == ("2", "1", "0")
    assert [one.name for one in report.all_figures] == [
        *("means", "recall", "windows"),
        *("gains-1", "scores-0", "scores-1"),
    ]
    assert report.facts(0) == [
        "1 judged queries have no result and count as 0.",
        "1 queries have no judgements and are left out.",
    ]


def test_a_smaller_window_leaves_the_rest_in_first_stage_order(two):
    run = load_runs(two)[1]
    found = by_window(1, run, "RR", QRELS)
    # The largest window is that of the longest list, and it is the run's own; there is none between 3 and 5.
    assert [(one.size, one.value, one.passages, one.seconds) for one in found] == [(3, pytest.approx(2 / 3), 2.0, 2.0)]


def test_the_windows_of_a_long_list(tmp_path):
    # The model prefers the last of 12 hits, so only a window of 12 finds it.
    hits = [(f"d{rank}", float(rank), rank) for rank in range(12, 0, -1)]
    path = write_lists(tmp_path / "run.jsonl", {"q": ("text", hits)}, window=12, seconds=24.0)
    [run] = load_runs([path])
    found = by_window(0, run, "RR", {"q": {"d12": 1}})
    # Within 5 or 10 reranked hits the twelfth stays at 12.
    assert [(one.size, one.value) for one in found] == [
        (5, pytest.approx(1 / 12)),
        (10, pytest.approx(1 / 12)),
        (12, 1.0),
    ]
    assert [one.seconds for one in found] == [10.0, 20.0, 24.0]


@pytest.mark.parametrize(
    "change", [{"fusion": {"method": "of-the-future"}}, {"fusion": {"method": "linear", "weight": 0.1}}, {"window": 2}]
)
def test_no_windows_where_the_order_does_not_follow_from_the_file(tmp_path, change):
    hits = [("c", 3.0, 3), ("a", 2.0, 1), ("b", 1.0, 2)]
    [run] = load_runs([write_lists(tmp_path / "run.jsonl", {"q": ("text", hits)}, **change)])
    assert by_window(0, run, "RR", {"q": {"c": 1}}) == []


def test_no_windows_where_the_file_lacks_hits_of_the_window(tmp_path):
    # Ten hits were kept of a window of 100: the first five of the file are not the first five of the first stage.
    hits = [(f"d{rank}", 100.0 - rank, rank) for rank in range(3, 30, 3)]
    path = write_lists(tmp_path / "run.jsonl", {"q": ("text", hits)}, window=100)
    [run] = load_runs([path])
    assert by_window(0, run, "RR", {"q": {"d12": 1}}) == []


def test_scores_from_a_file_give_no_time(tmp_path):
    lists = {"q": ("text", [("a", 1.0, 1)])}
    [run] = load_runs([write_lists(tmp_path / "run.jsonl", lists, passages_from_score_file=1)])
    assert [one.seconds for one in by_window(0, run, "RR", {"q": {"a": 1}})] == [None]


def test_without_judgements_the_report_shows_what_changes(two):
    report = make_report(Request(two))
    [row] = tables.overlaps(report).rows
    # q1 and q2 have the same documents in another order, q4 the same order: Jaccard 1 everywhere.
    assert (row[0], row[1], row[3], row[4]) == ("model.jsonl", "first.trec", "1.0000", "3")
    [comparison] = report.comparisons
    [(heading, examples)] = comparison.parts
    assert heading == "Queries that change most"
    assert {one.qid for one in examples} == {"q1", "q2"}
    assert report.evaluations == ()
    assert set(tables.files(report)) == {".md", ".tex", ".csv"}


def test_queries_side_by_side_have_texts_grades_and_moves(two):
    report = make_report(Request(two, qrels=QRELS))
    [(_, helped), (_, hurt)] = report.comparisons[0].parts
    assert [one.qid for one in helped] == ["q2", "q1"]
    assert hurt == []
    one = helped[1]
    assert [(place.rank, place.docid, place.grade, place.other) for place in one.before] == [
        (1, "b", 0, "↓ to 2"),
        (2, "a", 2, "↑ to 1"),
        (3, "z", None, "stays"),
    ]
    assert [(place.docid, place.other) for place in one.after] == [("a", "↑ from 2"), ("b", "↓ from 1"), ("z", "stays")]
    assert report.texts.queries["q1"] == "how long"
    assert report.texts.passages["a"] == "Title a Text of a"


def test_texts_come_from_topics_and_a_corpus(two, tmp_path):
    (tmp_path / "topics.tsv").write_text("q1\tfrom the topics\nq9\tnobody asks\n")
    (tmp_path / "corpus.tsv").write_text("a\tfrom the corpus\nb\t" + "long " * 99 + "\n")
    first = two[0]
    other = write_run(tmp_path / "other.trec", {"q1": ["a", "b"]})
    report = make_report(
        Request([first, other], qrels=QRELS, topics=tmp_path / "topics.tsv", corpora=[tmp_path / "corpus.tsv"])
    )
    assert report.texts.queries["q1"] == "from the topics"
    assert report.texts.passages["a"] == "from the corpus"
    assert len(report.texts.passages["b"]) <= 180
    assert report.texts.passages["b"].endswith("…")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda folder, two: Request([two[0], two[0]]), InputError, "given twice"),
        (lambda folder, two: Request(two, labels=["one"]), ConfigurationError, "1 labels"),
        (lambda folder, two: Request(two, labels=["one", "one"]), ConfigurationError, "1 of them different"),
        (
            lambda folder, two: Request([two[0], write_run(folder / "o", {"z": ["a"]})]),
            InputError,
            "no query in common",
        ),
        (lambda folder, two: Request(two, qrels={"z": {"a": 1}}), InputError, "judged"),
        (lambda folder, two: Request(two, topics=folder / "topics"), InputError, "none of the queries"),
        (lambda folder, two: Request([folder / "torn.jsonl"]), InputError, "no manifest of a run"),
        (lambda folder, two: Request([folder / "twice.jsonl"]), InputError, "already listed"),
    ],
)
def test_what_is_refused(two, tmp_path, make, error, words):
    (tmp_path / "topics").write_text("q77\ta query of another collection\n")
    write_lists(tmp_path / "torn.jsonl", {"q": ("text", [("a", 1.0, 1)])})
    (tmp_path / "torn.jsonl.manifest.json").write_text('{"output": ')
    line = json.dumps({"query_id": "q", "query": "text", "candidates": [{"docid": "a", "score": 1}]})
    other = json.dumps({"query_id": "q", "query": "text", "candidates": [{"docid": "b", "score": 1}]})
    (tmp_path / "twice.jsonl").write_text(f"{line}\n{other}\n")
    with pytest.raises(error, match=words):
        make_report(make(tmp_path, two))


def test_a_manifest_of_another_file_is_left_out_and_said(two):
    manifest = two[1].with_name("model.jsonl.manifest.json")
    manifest.write_text(manifest.read_text().replace('"hits": 6', '"hits": 9'))
    report = make_report(Request(two, qrels=QRELS))
    assert report.runs[1].manifest is None
    assert "tells of 9 hits in model.jsonl, and the file has 6 hits" in page(report)


def test_ties_and_a_wrong_order_are_said(tmp_path):
    path = tmp_path / "run.trec"
    path.write_text("q1 Q0 a 1 1.0 t\nq1 Q0 b 2 1.0 t\nq1 Q0 c 3 2.0 t\n")
    report = make_report(Request([path], qrels=QRELS))
    assert report.runs[0].order["q1"] == ["c", "b", "a"]
    [_, fact] = report.facts(0)
    assert "equal scores" in fact
    assert "not sorted" in fact
