"""`sidecar compare`: two runs, or a shadow log, without judgements."""

from __future__ import annotations

import json

import msgspec
import pytest

from sidecar.serving.proxy.shadow_log import ShadowRecord


def trec(*lists: str) -> str:
    """Write lists such as `q1:abc` as a TREC run."""
    lines = []
    for one in lists:
        qid, docids = one.split(":")
        lines += [f"{qid} Q0 {docid} {rank} {100 - rank} tag" for rank, docid in enumerate(docids, start=1)]
    return "\n".join(lines) + "\n"


@pytest.fixture
def runs(tmp_path):
    (tmp_path / "one.trec").write_text(trec("q1:abcd", "q2:abcd", "q3:ab"))
    (tmp_path / "two.trec").write_text(trec("q2:xbac", "q1:abcd", "q4:ab"))
    (tmp_path / "topics.tsv").write_text("q1\tthe first\nq2\tthe [second]\n")
    (tmp_path / "corpus.jsonl").write_text('{"_id": "x", "title": "T", "text": "of x"}\n{"_id": "a", "text": "of a"}\n')
    return ["one.trec", "two.trec"]


def test_the_queries_that_change_most_are_side_by_side(run, runs):
    words = ["--topics", "topics.tsv", "--corpus", "corpus.jsonl", "--depth", "3", "--show", "1"]
    status, printed, said = run("compare", *runs, *words)
    assert status == 0, said
    assert "1 queries are only in one.trec: q3; 1 queries are only in two.trec: q4." in said
    assert printed.splitlines() == [
        "one.trec → two.trec, 2 queries",
        # q1: 1. q2 at p 0.9: overlaps 0, 1, 2, 3 of 4.
        f"  rank-biased overlap (p 0.9)      {(1 + q2_overlap()) / 2:.4f}",
        "  Jaccard at 3                       0.7500",
        "  documents kept in the first 3      2.50",
        "  queries with the same first hit    1 of 2",
        "  queries with the same first 3      1 of 2, in any order",
        "",
        "q2  the [second]",
        f"overlap {q2_overlap():.4f}, 2 of 3 kept",
        "   one.trec  two.trec  move  read",
        "1  a         x          new  T of x",
        "2  b         b            =",
        "3  c         a           ↓2  of a",
        "  left: c, was 3, now 4",
    ]


def q2_overlap() -> float:
    """Return the overlap of `abcd` and `xbac`: 0/1, 1/2, 2/3 and 3/4 agree."""
    return (1 - 0.9) / 0.9 * (1 / 2 * 0.9**2 + 2 / 3 * 0.9**3 + 3 / 4 * 0.9**4) + 3 / 4 * 0.9**4


def test_json_has_every_query_and_its_moves(run, runs):
    status, printed, _ = run("compare", *runs, "--json", "--corpus", "corpus.jsonl", "--depth", "2")
    found = json.loads(printed)
    assert status == 0
    assert (found["only_in_first"], found["only_in_second"]) == (["q3"], ["q4"])
    assert [one["qid"] for one in found["queries"]] == ["q2", "q1"]
    assert found["queries"][0]["moves"] == [
        {"docid": "x", "before": None, "after": 1, "read": "T of x"},
        {"docid": "b", "before": 2, "after": 2, "read": None},
        {"docid": "a", "before": 1, "after": 3, "read": "of a"},
    ]


def test_candidate_lists_bring_their_texts(run, tmp_path):
    hits = [{"docid": name, "score": 3 - n, "text": f"text of {name}"} for n, name in enumerate("ab")]
    lists = {"query_id": "q1", "query": "what", "candidates": hits}
    (tmp_path / "one.jsonl").write_text(json.dumps(lists) + "\n")
    (tmp_path / "two.jsonl").write_text(json.dumps({**lists, "candidates": hits[::-1]}) + "\n")
    status, printed, said = run("compare", "one.jsonl", "two.jsonl")
    assert status == 0, said
    assert "q1  what" in printed
    assert "1  a          b            ↑1  text of b" in printed


def record(qid: str, before: str, after: str, **more) -> bytes:
    made = ShadowRecord(
        "2026", qid, "docs", "shadow", "m", "reranked", {}, first_stage=tuple(before), reranked=tuple(after)
    )
    return msgspec.json.encode(msgspec.structs.replace(made, **more)) + b"\n"


def test_a_shadow_log_is_two_runs(run, tmp_path):
    lines = [record("k1", "ab", "ab"), record("k1", "ab", "ba", query="fox"), record("k2", "ab", "ab")]
    lines += [record("k3", "", "", status="failed", reason="timeout")]
    (tmp_path / "shadow.jsonl").write_bytes(b"".join(lines))
    status, printed, said = run("compare", "--shadow-log", "shadow.jsonl", "--show", "1")
    assert status == 0, said
    assert "first stage → reranked, 2 queries" in printed
    assert "docs/shadow/k1  fox" in printed
    assert "1 records of searches that occur again later are left out." in said
    assert "1 searches were not reranked: timeout (1)." in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["one.trec"], "1 runs can't be compared"),
        (["one.trec", "two.trec", "--shadow-log", "s"], "2 runs and a shadow log can't be compared"),
        ([], "0 runs can't be compared"),
        (["one.trec", "one.trec"], "is given twice"),
        (["one.trec", "foreign.trec"], "have no query in common"),
        (["one.trec", "two.trec", "--persistence", "1"], "the persistence of rank-biased overlap is 1"),
        (["--shadow-log", "one.trec"], "one.trec:1: no record of a shadow log"),
        (["--shadow-log", "corpus.jsonl"], "corpus.jsonl:1: no record of a shadow log"),
        (["--shadow-log", "corpus.jsonl", "--topics", "topics.tsv"], "--topics has no effect with --shadow-log"),
    ],
)
def test_what_can_not_be_compared_is_refused(run, runs, tmp_path, words, message):
    (tmp_path / "foreign.trec").write_text(trec("other:ab"))
    status, _, said = run("compare", *words)
    assert (status, message in said) == (1, True), said
