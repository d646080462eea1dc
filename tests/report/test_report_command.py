"""`sidecar report`: the files that it writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.core.errors import InputError
from sidecar.experiments.qrels import read_qrels
from tests.support.report_files import QRELS


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
