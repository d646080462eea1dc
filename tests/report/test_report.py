"""A report: its figures equal trec_eval's and arithmetic written out; hostile text stays text."""

from __future__ import annotations

import json
import random
import re
import time
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import pytrec_eval

from sidecar.core.errors import ConfigurationError, InputError
from sidecar.experiments.qrels import read_qrels
from sidecar.report import tables
from sidecar.report.judged import by_window, recall_by_depth
from sidecar.report.page import page
from sidecar.report.report import Request, make_report
from sidecar.report.run_lists import load_runs

QRELS = {"q1": {"a": 2, "b": 0, "x": 1}, "q2": {"c": 1}, "q3": {"a": 1}}


def write_run(path, lists):
    lines = [
        f"{qid} Q0 {docid} {rank} {10 - rank} tag\n"
        for qid, docids in lists.items()
        for rank, docid in enumerate(docids, start=1)
    ]
    path.write_text("".join(lines))
    return path


def write_lists(path, lists, *, fusion=None, window=3, seconds=6.0, **more):
    """Write a candidate list as `rerank` does: query id → (text, hits), a hit (docid, rerank score, first rank)."""
    lines, scored = [], 0
    for qid, (text, hits) in lists.items():
        candidates = [
            {
                "docid": docid,
                "score": 10.0 - rank,
                "rerank_score": score,
                "first_stage_score": 5.0 - first,
                "first_stage_rank": first,
                "doc": {"title": f"Title {docid}", "text": f"Text of {docid}"},
            }
            for rank, (docid, score, first) in enumerate(hits)
        ]
        scored += sum(score is not None for _, score, _ in hits)
        lines.append(json.dumps({"query": {"text": text, "qid": qid}, "candidates": candidates}) + "\n")
    path.write_text("".join(lines))
    manifest = {
        "output": path.name,
        "command": "rerank",
        "settings": {"window": window},
        "model": {"model": "tiny", "engine": "none", "fusion": fusion or {"method": "rerank"}},
        "first_stage": {"input": "first.jsonl"},
        "versions": {},
        "queries": len(lists),
        "hits": sum(len(hits) for _, hits in lists.values()),
        "passages_scored": scored,
        "seconds": seconds,
        **more,
    }
    path.with_name(f"{path.name}.manifest.json").write_text(json.dumps(manifest))
    return path


@pytest.fixture
def two(tmp_path):
    """A first stage, and the same hits reranked by a model's scores alone."""
    first = write_run(tmp_path / "first.trec", {"q1": ["b", "a", "z"], "q2": ["d", "c"], "q4": ["e"]})
    lists = {
        "q1": ("how long", [("a", 3.0, 2), ("b", 1.0, 1), ("z", 0.5, 3)]),
        "q2": ("which one", [("c", 2.0, 2), ("d", 1.5, 1)]),
        "q4": ("not judged", [("e", 0.0, 1)]),
    }
    return [first, write_lists(tmp_path / "model.jsonl", lists)]


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


HOSTILE = "</style></title><script>alert(1)</script><img src=x onerror=alert(2)>\"' & {{ 7*7 }} $x_1$ \\input{a} | `b`"


class _Page(HTMLParser):
    """Notes the elements of a page, and whether each is closed in order."""

    VOID = frozenset({"meta", "path", "circle"})

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.ids, self.attributes = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def parsed(content: str) -> _Page:
    found = _Page()
    found.feed(content)
    found.close()
    assert found.open == []
    return found


@pytest.fixture
def hostile(tmp_path):
    lists = {"q1": (HOSTILE, [(HOSTILE, 3.0, 2), ("b", 1.0, 1)]), "q2": ("fine", [("c", 1.0, 1)])}
    model = write_lists(tmp_path / "model.jsonl", lists)
    text = model.read_text().replace("Text of b", json.dumps(HOSTILE)[1:-1])
    model.write_text(text)
    first = tmp_path / "first.jsonl"
    hits = [{"docid": "b", "score": 2, "text": HOSTILE}, {"docid": HOSTILE, "score": 1, "text": "x"}]
    first.write_text(json.dumps({"query_id": "q1", "query": HOSTILE, "candidates": hits}) + "\n")
    return Request([first, model], labels=["base", HOSTILE], qrels={"q1": {HOSTILE: 1}}, title=HOSTILE)


def test_hostile_text_stays_text(hostile):
    content = page(make_report(hostile))
    found = parsed(content)
    assert not {"script", "img", "iframe", "object", "link", "form"} & set(found.tags)
    assert [(tag, name) for tag, name, _ in found.attributes if name.startswith("on") or name in {"style", "src"}] == []
    assert {value for _, name, value in found.attributes if name == "href"} <= {f"#{one}" for one in found.ids}
    assert content.count("</style>") == 1
    assert "{{ 7*7 }}" in content


def test_the_policy_allows_the_style_of_the_page_alone(two):
    import base64
    import hashlib

    content = page(make_report(Request(two, qrels=QRELS)))
    [style] = re.findall(r"<style>(.*?)</style>", content, re.DOTALL)
    checksum = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    [policy] = [value for tag, name, value in parsed(content).attributes if (tag, name) == ("meta", "content")][:1]
    assert policy == f"default-src 'none'; style-src 'sha256-{checksum}'; base-uri 'none'; form-action 'none'"
    assert "http:" not in content.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in content
    assert "url(" not in style


def test_hostile_text_in_figures_and_tables(hostile):
    report = make_report(hostile)
    for figure in report.all_figures:
        root = ET.fromstring(figure.as_file())
        assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
            *("svg", "title", "desc", "style", "path", "circle", "text"),
        }
    files = tables.files(report)
    assert r"\textbackslash{}input\{a\}" in files[".tex"]
    assert "\\input" not in files[".tex"]
    assert r"\<script\>" in files[".md"]
    rows = [line for line in files[".md"].splitlines() if line.startswith("| ")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows[:3]}) == 1


def test_a_page_can_be_read_by_a_screen_reader(two):
    content = page(make_report(Request(two, qrels=QRELS)))
    found = parsed(content)
    assert len(found.ids) == len(set(found.ids))
    for landmark in ("header", "nav", "main", "footer"):
        assert found.tags.count(landmark) == 1
    levels = [int(tag[1]) for tag in found.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    assert found.tags.count("table") == found.tags.count("caption")
    scopes = [value for tag, name, value in found.attributes if (tag, name) == ("th", "scope")]
    assert len(scopes) == found.tags.count("th")
    labelled = {one for tag, name, value in found.attributes if name == "aria-labelledby" for one in value.split()}
    assert labelled <= set(found.ids)
    # A drawing is named and described, or hidden where a list beside it says the same.
    drawings = found.tags.count("svg")
    roles = [value for tag, name, value in found.attributes if tag == "svg" and name in {"role", "aria-hidden"}]
    assert len(roles) == drawings
    assert found.tags.count("desc") == roles.count("img")


def test_the_same_files_give_the_same_bytes(two):
    request = Request(two, qrels=QRELS)
    one, other = make_report(request), make_report(request)
    assert page(one) == page(other)
    assert tables.files(one) == tables.files(other)
    assert [figure.as_file() for figure in one.all_figures] == [figure.as_file() for figure in other.all_figures]


def test_ten_runs_of_225_queries_take_seconds_and_two_megabytes(tmp_path):
    random.seed(1)
    docids = [f"document-{number}" for number in range(1400)]
    qrels = {str(qid): {docid: random.choice([0, 1, 2]) for docid in random.sample(docids, 40)} for qid in range(225)}
    lists = {qid: random.sample(docids, 100) for qid in qrels}
    paths = [
        write_run(tmp_path / f"run-{number}", {qid: random.sample(hits, 100) for qid, hits in lists.items()})
        for number in range(9)
    ]
    reranked = {
        qid: (f"the text of query {qid}", [(docid, -float(rank), rank) for rank, docid in enumerate(hits, 1)])
        for qid, hits in lists.items()
    }
    paths.append(write_lists(tmp_path / "reranked.jsonl", reranked, window=100))
    started = time.process_time()
    content = page(make_report(Request(paths, qrels=qrels)))
    assert time.process_time() - started < 30
    assert len(content.encode()) < 2_000_000


def test_the_command(run, two, tmp_path):
    (tmp_path / "qrels.txt").write_text("".join(f"{q} 0 {d} {g}\n" for q, gs in QRELS.items() for d, g in gs.items()))
    words = ("report", *two, "--qrels", "qrels.txt", "--output", "out.html")
    status, out, err = run(*words, "--figures", "figures", "--label", "BM25", "--label", "reranked")
    assert (status, out) == (0, "")
    assert "2 runs → out.html" in err
    assert "BM25: 1 judged queries have no result and count as 0." in err
    beside = ("html", "md", "tex", "csv", "by-query.csv", "pairs.csv")
    assert {path.name for path in tmp_path.glob("out.*")} == {f"out.{suffix}" for suffix in beside}
    assert {path.name for path in Path("figures").iterdir()} == {
        *("means.svg", "recall.svg", "windows.svg", "gains-1.svg", "scores-0.svg", "scores-1.svg")
    }
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "run,nDCG@10,RR@10,AP,R@100,queries"
    assert "reranked,q2,RR@10,1.0" in (tmp_path / "out.by-query.csv").read_text().splitlines()
    status, _, err = run(*words)
    assert status == 1
    assert "exist already" in err
    # Without judgements there is no test of pairs, and none is left from the report before.
    status, _, err = run("report", *two, "--output", "out.html", "--force")
    assert status == 0, err
    assert {path.name for path in tmp_path.glob("out.*")} == {
        f"out.{suffix}" for suffix in ("html", "md", "tex", "csv")
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--output", "page.pdf"), "ends in .html"),
        (("--output", "page.html", "--metrics", "AP"), "nothing is measured without --qrels"),
        (("--output", "page.html", "--relevant", "2"), "nothing is measured without --qrels"),
        (("--output", "no/such/folder/page.html"), "can't write"),
        (("--output", "page.html", "--figures", "first.trec/figures"), "can't make the folder"),
    ],
)
def test_the_command_refuses(run, two, tmp_path, words, message):
    before = set(tmp_path.iterdir())
    status, _, err = run("report", *two, *words)
    assert status == 1
    assert message in err
    assert not (tmp_path / "page.html").exists()
    assert not any(path.suffix == ".partial" for path in set(tmp_path.iterdir()) - before)


def test_qrels_are_read_as_evaluate_reads_them(run, two, tmp_path):
    (tmp_path / "qrels.txt").write_text("q1 0 a 1\nq1 0 a 2\n")
    status, _, err = run("report", *two, "--qrels", "qrels.txt", "--output", "page.html")
    assert status == 1
    assert "is judged 2, but 1 in" in err
    with pytest.raises(InputError):
        read_qrels(tmp_path / "qrels.txt")
