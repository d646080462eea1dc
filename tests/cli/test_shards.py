"""`--shard` and `sidecar merge`: the merged output is that of one process byte for byte, or refused."""

from __future__ import annotations

import json

import pytest

from sidecar.core.errors import SidecarError
from tests.support.models import tiny_zoo  # noqa: F401 - the tests of this module load a model

QUERIES = 7
COUNT = 3


@pytest.fixture
def lists(tmp_path):
    docs = [{"docid": f"d{n}", "score": 9 - n, "text": "fox " * n + "dog"} for n in range(1, 6)]
    lines = [{"query_id": f"q{i}", "query": f"fox {i}", "candidates": docs[i % 3 :]} for i in range(QUERIES)]
    # A query without a candidate has no line in a TREC run, and must not move the others.
    lines[3]["candidates"] = []
    (tmp_path / "lists.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "queries.tsv").write_text("".join(f"q{i}\tfox {i}\n" for i in range(QUERIES)))
    (tmp_path / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": d["docid"], "text": d["text"]}) + "\n" for d in docs)
    )
    run = "".join(
        f"{line['query_id']} Q0 {d['docid']} {n} {d['score']} bm25\n"
        for line in lines
        for n, d in enumerate(line["candidates"], 1)
    )
    (tmp_path / "first.trec").write_text(run)
    return tmp_path


def ok(found):
    assert found[0] == 0, found[2]
    return found[2]


FROM_RUN = ("--run", "first.trec", "--queries", "queries.tsv", "--corpus", "corpus.jsonl")


@pytest.mark.parametrize(
    "words",
    [
        ("rerank", "lists.jsonl", "--format", "trec", "--window", "3"),
        ("rerank", "lists.jsonl", "--format", "msmarco"),
        ("rerank", "lists.jsonl", "--format", "jsonl"),
        ("rerank", *FROM_RUN, "--format", "trec"),
        ("teach", "lists.jsonl", "--drop-unusable"),
    ],
    ids=["trec", "msmarco", "jsonl", "run", "teach"],
)
def test_merged_equals_one_process(run, lists, tiny_bert, words):
    words = [*words, "--model", tiny_bert, "--device", "cpu", "--output"]
    ok(run(*words, "whole"))
    for number in (2, 1, 3):
        ok(run(*words, "out", "--shard", f"{number}/{COUNT}"))
    assert not (lists / "out").exists()
    said = ok(run("merge", *sorted(lists.glob("out.shard-*")), "--output", "merged"))
    assert f"queries of {COUNT} shards → merged" in said
    assert (lists / "merged").read_bytes() == (lists / "whole").read_bytes()
    if words[0] == "teach":
        return
    whole, merged = (json.loads((lists / f"{name}.manifest.json").read_text()) for name in ("whole", "merged"))
    same = ("command", "settings", "first_stage", "queries", "hits", "passages_scored", "queries_without_candidates")
    assert {name: merged[name] for name in same} == {name: whole[name] for name in same}
    assert merged["versions"] == whole["versions"]
    assert [one["shard"] for one in merged["shards"]] == ["1/3", "2/3", "3/3"]


@pytest.mark.live
@pytest.mark.usefixtures("jvm")
def test_the_first_stages_run_is_merged_too(run, lists, tiny_bert):
    from connectors.pyserini.build import build_index
    from sidecar.core.corpus import Document

    build_index([Document(f"d{n}", "", "fox " * n + "dog") for n in range(1, 6)], lists / "index")
    (lists / "topics.tsv").write_text("".join(f"q{i}\t{'fox' if i != 3 else 'cat'} {i}\n" for i in range(QUERIES)))
    words = [
        "run",
        "--topics",
        "topics.tsv",
        "--index",
        "index",
        "--window",
        "3",
        "--model",
        tiny_bert,
        "--device",
        "cpu",
    ]
    ok(run(*words, "--output", "whole"))
    for number in (1, 2):
        ok(run(*words, "--output", "out", "--shard", f"{number}/2"))
    ok(run("merge", *lists.glob("out.shard-*"), "--output", "merged"))
    for suffix in ("", ".first-stage"):
        assert (lists / f"merged{suffix}").read_bytes() == (lists / f"whole{suffix}").read_bytes()


def test_a_shard_that_was_finished_may_be_repeated(run, lists, tiny_bert):
    words = ["rerank", "lists.jsonl", "--model", tiny_bert, "--device", "cpu", "--output", "out", "--shard", "2/3"]
    ok(run(*words, "--resume"))
    status, _, said = run(*words)
    assert (status, "out.shard-2-of-3 exists already" in said) == (1, True)
    written = (lists / "out.shard-2-of-3").stat().st_mtime_ns
    assert "was finished before" in ok(run(*words, "--resume"))
    assert (lists / "out.shard-2-of-3").stat().st_mtime_ns == written
    status, _, said = run(*words, "--window", "2", "--resume")
    assert (status, "belongs to another run" in said) == (1, True)
    ok(run(*words, "--window", "2", "--force"))


def test_an_interrupted_shard_goes_on(run, lists, tiny_bert):
    words = ["rerank", "lists.jsonl", "--model", tiny_bert, "--device", "cpu", "--output"]
    ok(run(*words, "whole"))
    ok(run(*words, "out", "--shard", "2/2"))
    whole = (lists / "out.shard-2-of-2").read_text().splitlines()
    # The journal of a process that was killed after its first query.
    settings = json.loads(whole[0])["origin"]["settings"]
    (lists / "out.shard-2-of-2").unlink()
    head = json.dumps({"run": {**settings, "shard": "2/2"}}, separators=(",", ":"))
    (lists / ".out.shard-2-of-2.journal").write_text(f"{head}\n{whole[1]}\n")
    status, _, said = run(*words, "out", "--shard", "2/2")
    assert (status, "--resume" in said) == (1, True)
    ok(run(*words, "out", "--shard", "2/2", "--resume"))
    assert (lists / "out.shard-2-of-2").read_text().splitlines()[1:] == whole[1:]
    ok(run(*words, "out", "--shard", "1/2"))
    ok(run("merge", *lists.glob("out.shard-*"), "--output", "out"))
    assert (lists / "out").read_bytes() == (lists / "whole").read_bytes()


def test_another_model_is_refused_at_the_merge(run, lists, tiny_bert, tmp_path):
    """A checkpoint of the same name whose weights were replaced between two shards."""
    import shutil

    from safetensors.numpy import load_file, save_file

    shutil.copytree(tiny_bert, tmp_path / "model")
    words = ["rerank", "lists.jsonl", "--model", "model", "--device", "cpu", "--output", "out", "--shard"]
    ok(run(*words, "1/2"))
    weights = load_file(tmp_path / "model" / "model.safetensors")
    name = next(iter(weights))
    save_file({**weights, name: weights[name] + 1e-3}, tmp_path / "model" / "model.safetensors", {"format": "pt"})
    ok(run(*words, "2/2"))
    status, _, said = run("merge", *lists.glob("out.shard-*"), "--output", "out")
    assert (status, "they differ in model.content" in said) == (1, True), said
    assert not (lists / "out").exists()


def test_merge_keeps_what_is_there(run, lists, tiny_bert):
    ok(run("rerank", "lists.jsonl", "--model", tiny_bert, "--device", "cpu", "--output", "out", "--shard", "1/1"))
    (lists / "out").write_text("mine")
    status, _, said = run("merge", "out.shard-1-of-1", "--output", "out")
    assert (status, "--force" in said, (lists / "out").read_text()) == (1, True, "mine")
    ok(run("merge", "out.shard-1-of-1", "--output", "out", "--force"))


def test_no_candidate_at_all_is_an_error_of_the_merge_alone(run, tmp_path, tiny_bert):
    (tmp_path / "lists.jsonl").write_text('{"query_id": "q", "query": "fox", "candidates": []}\n')
    words = ["rerank", "lists.jsonl", "--model", tiny_bert, "--device", "cpu", "--output", "out", "--shard"]
    ok(run(*words, "1/2"))
    ok(run(*words, "2/2"))
    status, _, said = run("merge", *tmp_path.glob("out.shard-*"), "--output", "out")
    assert (status, "none of the 1 queries has a candidate" in said) == (1, True)


def test_what_can_not_be_written_leaves_no_shard(tmp_path):
    from sidecar.experiments import shards
    from sidecar.experiments.journal import Journal

    with Journal(tmp_path / "out", {}, resume=False) as journal:
        journal.add("q1", b"{}")
        with pytest.raises(SidecarError, match="can't write"):
            shards.publish_shard(
                journal,
                tmp_path / "absent" / "out",
                shards.Shard(1, 1),
                1,
                origin={},
                model={},
                versions={},
                local={},
            )
    assert [path.name for path in tmp_path.iterdir()] == [".out.journal"]
