"""Scores kept from run to run: what is not scored again, what is, and what no accident may do to the file."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import load_file, save_file

from sidecar.core.candidates import Chunk, Passage, Score
from sidecar.core.errors import ConfigurationError, InputError
from sidecar.core.model_spec import Chunking, ModelSpec
from sidecar.scoring.cache_keys import pair_keys
from sidecar.scoring.checkpoints.manifest import Manifest, write_manifest
from sidecar.scoring.fingerprint import content_digest, fingerprint
from sidecar.scoring.loading import load_scorer
from sidecar.scoring.score_store import RememberingScorer, ScoreStore

PASSAGES = [Passage("a title", f"passage number {i}") for i in range(6)]


class Counting:
    """A scorer that keeps count of the passages it scored."""

    def __init__(self, scorer):
        self.scorer = scorer
        self.manifest, self.mapping, self.name = scorer.manifest, scorer.mapping, scorer.name
        self.scored = 0

    def read(self, query, passages):
        return self.scorer.read(query, passages)

    def score_all(self, readings):
        self.scored += sum(len(reading.lengths) for reading in readings)
        return self.scorer.score_all(readings)


@pytest.fixture(scope="module")
def scorer(tiny_llama):
    return load_scorer(str(tiny_llama[1]), device="cpu")


@pytest.fixture
def counting(scorer):
    return Counting(scorer)


def remembering(counting, path, name="one"):
    return RememberingScorer(counting, ScoreStore(path), name)


def test_a_second_run_scores_nothing_and_gives_the_same(counting, tmp_path):
    path = tmp_path / "scores"
    first = remembering(counting, path).score("query", PASSAGES)
    assert (first, counting.scored) == (counting.scorer.score("query", PASSAGES), 6)
    assert remembering(counting, path).score("query", PASSAGES) == first
    assert remembering(counting, path).score("query", PASSAGES[4:0:-1]) == first[4:0:-1]
    assert counting.scored == 6


def test_what_is_new_is_scored_and_nothing_else(counting, tmp_path):
    both = remembering(counting, tmp_path / "scores")
    both.score("query", PASSAGES[1:3])
    mixed = both.read("query", PASSAGES)
    assert [bool(length) for length in mixed.lengths] == [True, False, False, True, True, True]
    parts = [mixed.part(0, 2), mixed.part(2, 4), mixed.part(4, 6)]
    assert [part.lengths for part in parts] == [mixed.lengths[i : i + 2] for i in (0, 2, 4)]
    scores = [score for part in both.score_all(parts) for score in part]
    assert counting.scored == 6
    assert [score.value for score in scores] == pytest.approx(
        [score.value for score in counting.scorer.score("query", PASSAGES)], abs=1e-5
    )


def test_another_model_query_or_passage_is_another_pair(counting, tmp_path):
    path = tmp_path / "scores"
    remembering(counting, path).score("query", PASSAGES[:1])
    remembering(counting, path, "another").score("query", PASSAGES[:1])
    remembering(counting, path).score("quer", [Passage("y" + PASSAGES[0].title, PASSAGES[0].text)])
    assert counting.scored == 3


def test_all_of_a_score_is_kept(tmp_path):
    scores = {b"a": Score(0.1, truncated=True), b"b": Score(-1e-30, chunk=Chunk(1, 3, 40, 90)), b"c": Score(7.0)}
    ScoreStore(tmp_path / "scores").keep(scores)
    found = ScoreStore(tmp_path / "scores").look_up([b"c", b"x", b"b", b"a"])
    assert found == [scores[b"c"], None, scores[b"b"], scores[b"a"]]


WRITE = """
import os, signal, sys
from pathlib import Path
from sidecar.core.candidates import Score
from sidecar.scoring.score_store import ScoreStore
store = ScoreStore(Path(sys.argv[1]))
store.keep({b"whole": Score(1.0)})
store._database.execute("BEGIN IMMEDIATE")
store._database.execute("INSERT INTO score VALUES (?, 1, 0, NULL, NULL, NULL, NULL)", (b"half",))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_who_is_killed_in_the_middle_of_writing_loses_nothing_else(tmp_path):
    path = tmp_path / "scores"
    assert subprocess.run([sys.executable, "-c", WRITE, str(path)], check=False).returncode == -9
    store = ScoreStore(path)
    assert store.look_up([b"whole", b"half"]) == [Score(1.0), None]
    store.keep({b"half": Score(2.0)})
    assert store.look_up([b"half"]) == [Score(2.0)]


def test_many_runs_write_and_read_one_file_from_its_beginning(tmp_path):
    def run(number):
        store = ScoreStore(tmp_path / "scores")
        for i in range(20):
            store.keep({b"%d %d" % (number, i): Score(float(i)), b"shared %d" % i: Score(float(i))})
            assert store.look_up([b"%d %d" % (number, i)]) == [Score(float(i))]
        store.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    keys = [b"%d %d" % (number, 19) for number in range(8)]
    assert ScoreStore(tmp_path / "scores").look_up([*keys, b"shared 7"]) == [*[Score(19.0)] * 8, Score(7.0)]


def test_a_file_with_a_name_that_sqlite_reads_otherwise_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ScoreStore(Path(":memory:")).keep({b"1": Score(1.0)})
    assert ScoreStore(tmp_path / ":memory:").look_up([b"1"]) == [Score(1.0)]


def test_a_file_that_is_no_score_file_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "scores"
    path.write_bytes(b"something else entirely, and long enough for a header" * 40)
    before = path.read_bytes()
    with pytest.raises(InputError, match="not a score file, or is damaged"):
        ScoreStore(path)
    assert path.read_bytes() == before

    with sqlite3.connect(tmp_path / "other") as database:
        database.execute("CREATE TABLE mine (x)")
    with pytest.raises(ConfigurationError, match="does not hold scores"):
        ScoreStore(tmp_path / "other")
    ScoreStore(tmp_path / "newer").close()
    with sqlite3.connect(tmp_path / "newer") as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match="in the format 99, not 1"):
        ScoreStore(tmp_path / "newer")
    with pytest.raises(InputError, match="unable to open"):
        ScoreStore(tmp_path / "nowhere" / "scores")


def test_a_model_goes_by_its_files_its_manifest_and_how_it_is_run(tiny_llama, scorer, tmp_path):
    directory = tmp_path / "adapter"
    shutil.copytree(tiny_llama[1], directory)
    spec = ModelSpec(model=str(directory), device="cpu")
    shorter = replace(scorer.manifest, max_length=100)
    names = [fingerprint(scorer, spec)]
    assert fingerprint(scorer, replace(spec, batch_size=7)) == names[0]
    names.append(fingerprint(SimpleNamespace(manifest=shorter, engine_name=scorer.engine_name), spec))
    names.append(fingerprint(SimpleNamespace(manifest=scorer.manifest, engine_name="another"), spec))
    names.append(fingerprint(scorer, replace(spec, dtype="bfloat16")))
    names.append(fingerprint(scorer, replace(spec, chunking=Chunking())))
    names.append(fingerprint(scorer, replace(spec, model=str(tiny_llama[0]))))
    weights = directory / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes())  # written again: somebody may have trained on
    names.append(fingerprint(scorer, spec))
    write_manifest(Manifest(), directory)
    names.append(fingerprint(scorer, spec))
    assert len(set(names)) == len(names)


def test_a_replaced_model_is_another_one_in_a_folder_named_like_the_hubs_cache(tiny_bert, tmp_path):
    model = shutil.copytree(tiny_bert, tmp_path / "blobs")
    spec = ModelSpec(model=str(model), device="cpu")
    scorer = load_scorer(spec.model, device="cpu")
    before = fingerprint(scorer, spec)
    _scale_weights(model / "model.safetensors")
    assert fingerprint(scorer, spec) != before


def test_weights_that_an_index_names_in_a_subfolder_count(tiny_llama, tmp_path):
    model = shutil.copytree(tiny_llama[0], tmp_path / "model")
    (model / "shards").mkdir()
    (model / "model.safetensors").rename(model / "shards" / "one.safetensors")
    weights = load_file(model / "shards" / "one.safetensors")
    weights["score.weight"] = torch.ones(1, 64)
    save_file(weights, model / "shards" / "one.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, "shards/one.safetensors")}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    spec = ModelSpec(model=str(model), device="cpu")
    scorer = load_scorer(spec.model, device="cpu")
    before, content = fingerprint(scorer, spec), content_digest(spec)
    _scale_weights(model / "shards" / "one.safetensors")
    assert scorer.score("query", PASSAGES) != load_scorer(spec.model, device="cpu").score("query", PASSAGES)
    assert fingerprint(scorer, spec) != before
    assert content_digest(spec) != content


def _scale_weights(path):
    save_file({name: 2 * tensor for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"})


def test_chunks_are_remembered_too(tiny_llama, tmp_path):
    chunked = Counting(load_scorer(str(tiny_llama[1]), device="cpu", chunking=Chunking(tokens=20, overlap=4)))
    passages = [Passage("", "one word after the other " * 30), Passage("", "short")]
    first = remembering(chunked, tmp_path / "scores").score("query", passages)
    assert remembering(chunked, tmp_path / "scores").score("query", passages) == first
    assert (chunked.scored, first[0].chunk is not None, first[1].chunk) == (2, True, None)


def test_keys_do_not_run_together():
    texts = [Passage("ab", "c"), Passage("a", "bc"), Passage("", "abc"), Passage("\ud800", "")]
    keys = [*pair_keys("m", "q", texts), *pair_keys("mq", "", texts)]
    assert len(set(keys)) == 8
