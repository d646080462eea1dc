"""`sidecar reproduce`: from a corpus or candidate lists to a report, beside the published figures."""

from __future__ import annotations

import json
import re
import weakref

import pytest

from sidecar.cli.reproduce_command import _beside_published, _in_words, _remarks
from sidecar.cli.reproduce_runs import Runs
from sidecar.core.errors import ConfigurationError, InputError
from sidecar.experiments.published import EXPERIMENTS, find_experiment
from sidecar.experiments.run_reading import read_run
from sidecar.scoring import loading
from sidecar.scoring.checkpoints.manifest import Manifest, read_manifest
from sidecar.scoring.checkpoints.presets import PRESETS
from sidecar.scoring.checkpoints.readings import readings
from sidecar.scoring.loading import load
from sidecar.settings import load_settings
from tests.support.servers.remote_stub import remote_stub


@pytest.fixture
def files(tmp_path):
    """A folder in BEIR's layout, and candidate lists with judgements of their own."""
    folder = tmp_path / "collection"
    folder.mkdir()
    texts = {"flea": "the life cycle of a flea", "dog": "how long a dog lives", "cat": "a cat and a flea"}
    lines = [json.dumps({"_id": docid, "title": docid, "text": text}) for docid, text in texts.items()]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    queries = {"1": "life of a flea", "2": "how long lives a dog", "3": "cat"}
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": qid, "text": query}) + "\n" for qid, query in queries.items())
    )
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n1\tflea\t2\n2\tdog\t1\n3\tcat\t1\n")
    candidates = [
        {
            "query_id": qid,
            "query": query,
            "candidates": [
                {"docid": docid, "score": 9 - rank, "title": "", "text": text}
                for rank, (docid, text) in enumerate(texts.items())
            ],
        }
        for qid, query in queries.items()
    ]
    (tmp_path / "candidates.jsonl").write_text("".join(json.dumps(one) + "\n" for one in candidates))
    return tmp_path


@pytest.fixture
def reproduce(run, files, tiny_llama):
    del files
    return lambda *words: run("reproduce", *words, "--model", tiny_llama[1], "--device", "cpu")


GIVEN = ("dl19", "--candidates", "candidates.jsonl", "--qrels", "collection/qrels.tsv", "--output", "out")


def test_given_candidates_beside_the_published_figures(reproduce, files):
    status, out, err = reproduce(*GIVEN, "--yes")
    assert status == 0, err
    assert re.search(r"3 queries, up to 100 passages each: about \d+ s\.", err)
    written = {path.name for path in (files / "out").iterdir()}
    assert written == {
        *("first-stage.jsonl", "reranked.jsonl", "reranked.jsonl.manifest.json", "report.html", "report.md"),
        *("report.tex", "report.csv", "report.by-query.csv", "report.pairs.csv"),
    }
    # Relevant at rank 1 (grade 2), 2 and 3: (1 + 1/log2(3) + 1/log2(4)) / 3 = 0.7103.
    assert re.search(r"first stage +0\.7103 +0\.5058 +\+0\.2045 +Pyserini's reproductions", out)
    assert "DeAR 3B, LoRA: 0.7090 (the card of" in err
    assert "0.7791" in err
    assert "0.7554" in err


def test_each_model_is_loaded_once(reproduce, monkeypatch):
    """The estimate of the time and the first run have one model, and no two models are in memory at once."""
    held = []

    def counted(spec):
        assert not any(one() for one in held)
        scorer = load(spec)
        held.append(weakref.ref(scorer))
        return scorer

    monkeypatch.setattr(loading, "load", counted)
    status, _, err = reproduce(*GIVEN, "--yes", "--readings")
    assert status == 0, err
    assert len(held) == 4


def test_it_asks_and_without_a_terminal_it_needs_yes(reproduce, files):
    status, _, err = reproduce(*GIVEN)
    assert status == 1
    assert "Add --yes." in err
    assert not (files / "out" / "reranked.jsonl").exists()


def test_what_is_finished_is_kept_with_resume_and_replaced_with_force(reproduce, files):
    assert reproduce(*GIVEN, "--yes")[0] == 0
    before = (files / "out" / "reranked.jsonl").read_bytes()
    status, _, err = reproduce(*GIVEN, "--yes")
    assert status == 1
    assert "--force" in err
    status, _, err = reproduce(*GIVEN, "--yes", "--resume")
    assert status == 0, err
    assert "out/reranked.jsonl is finished already" in err
    status, _, err = reproduce(*GIVEN, "--yes", "--resume", "--window", 2)
    assert status == 1
    assert "made with other settings or inputs" in err
    assert reproduce(*GIVEN, "--yes", "--force")[0] == 0
    assert (files / "out" / "reranked.jsonl").read_bytes() == before


def test_four_readings_of_one_checkpoint(reproduce, files):
    status, out, err = reproduce(*GIVEN, "--yes", "--readings")
    assert status == 0, err
    names = ("last_token-separate", "last_slot-joint", "last_slot-separate")
    orders = {name: read_run(files / "out" / f"reranked.{name}.jsonl") for name in names}
    assert all(len(order) == 3 for order in orders.values())
    for name in names:
        manifest = read_manifest(files / "out" / "readings" / name)
        assert f"{manifest.pooling}-{manifest.truncation}" == name
        assert name in out
    scores = [
        [hit["rerank_score"] for hit in json.loads(line)["candidates"]]
        for reading in ("", ".last_slot-joint")
        for line in (files / "out" / f"reranked{reading}.jsonl").read_text().splitlines()[:1]
    ]
    assert sorted(scores[0]) != sorted(scores[1])


def test_readings_are_those_of_dear():
    found = readings(PRESETS["dear-3b-ranknet-lora"].manifest)
    assert list(found) == ["last_token-separate", "last_slot-joint", "last_slot-separate"]
    assert all(one.query_template == "query: {query}" for one in found.values())
    with pytest.raises(ConfigurationError, match="only DeAR's"):
        readings(Manifest(kind="bi-encoder", pooling="mean"))


@pytest.mark.live
@pytest.mark.usefixtures("jvm")
def test_a_folder_from_the_corpus_to_the_report(reproduce, files):
    status, out, err = reproduce("collection", "--output", "out")
    assert status == 0, err
    assert (files / "out" / "index").is_dir()
    # BM25 finds each of the three relevant documents first.
    assert re.search(r"first stage +1\.0000 +–", out)
    assert "published" not in err
    page = (files / "out" / "report.html").read_text()
    assert "<h1>collection</h1>" in page
    assert "life of a flea" in page or "Queries hurt most" in page
    # The index is used again.
    status, _, err = reproduce("collection", "--output", "out", "--force")
    assert status == 0, err
    assert "indexing" not in err


def test_a_remote_model_is_neither_downloaded_nor_read_in_other_ways(run, files):
    lists = files / "candidates.jsonl"
    lists.write_text(lists.read_text().replace("flea", "7 fleas").replace("dog lives", "dog lives: 9 years"))
    with remote_stub("tei") as server:
        words = ("reproduce", *GIVEN, "--model", server.url, "--yes")
        status, out, err = run(*words)
        assert status == 0, err
        assert "To be downloaded" not in err
        assert server.asked
        assert server.url in out
        status, _, err = run(*words, "--readings", "--force")
    assert status == 1
    assert "--readings has no effect here: a remote model is read by its server" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("dl21",), "dl21 is neither a folder nor a known experiment. Did you mean dl20?"),
        (("beir-bioasq",), "Known: dl19, dl20, beir-trec-covid"),
        (("collection", "--data", "collection"), "--data names another"),
        (("dl19", "--data", "collection", "--candidates", "candidates.jsonl"), "Give one of them"),
        (("dl19", "--k1", "1.2"), "a known experiment has its own k1 and b"),
        (("collection", "--candidates", "candidates.jsonl", "--k1", "1.2"), "nothing is searched with --candidates"),
        (("dl19", "--candidates", "missing.jsonl", "--qrels", "collection/qrels.tsv", "--yes"), "missing.jsonl"),
        (("dl19", "--candidates", "candidates.jsonl", "--qrels", "foreign.tsv", "--yes"), "judged"),
    ],
)
def test_what_is_refused(reproduce, files, words, message):
    (files / "foreign.tsv").write_text("1001\tother\t1\n")
    status, out, err = reproduce(*words, "--output", "out")
    assert (status, out) == (1, "")
    assert message in err
    assert not (files / "out" / "report.html").exists()


def test_the_published_figures_have_sources_and_plausible_values():
    figures = [
        figure for one in EXPERIMENTS.values() for figure in (one.first_stage, *one.models.values(), *one.others)
    ]
    assert all(figure.source and 0.1 < figure.value < 1 for figure in figures)
    assert {name for one in EXPERIMENTS.values() for name in one.models} <= PRESETS.keys()
    assert [one.value for one in find_experiment("dl19").models.values()] == [0.709, 0.712, 0.742, 0.745, 0.738]
    assert find_experiment("dl20").first_stage.value == 0.4796
    with pytest.raises(InputError, match="neither a folder"):
        find_experiment("dl18-passage")


def test_a_known_model_stands_beside_its_figure():
    dl19 = find_experiment("dl19")
    table = _beside_published([("first stage", 0.5), ("model", 0.7)], dl19, "dear-3b-ranknet-lora")
    assert [list(column.cells) for column in table.columns][:4] == [
        *(["first stage", "model"], ["0.5000", "0.7000"], ["0.5058", "0.7090"], ["−0.0058", "−0.0090"]),
    ]
    settings = load_settings({"model": "dear-3b-ranknet-lora", "window": 50})
    said = " ".join(_remarks(dl19, settings, None))
    assert "another window or fusion" in said
    assert "--readings runs all four" in said
    assert "float16" in said
    assert list(_remarks(None, settings, None)) == []


def test_times_in_words():
    assert [_in_words(seconds) for seconds in (3.4, 89, 600, 5399, 9000)] == [
        "3 s",
        "89 s",
        "10 min",
        "90 min",
        "2.5 h",
    ]


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't make the folder"):
        Runs(tmp_path / "file" / "out", load_settings(), resume=False).make_folder()
