"""A cross-encoder with a bi-encoder beside it: the sum, whoever asks, and however it is cut."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from sidecar.core.candidates import Passage
from sidecar.core.errors import ModelError
from sidecar.core.model_spec import Chunking, ModelSpec
from sidecar.scoring.checkpoints.bundled_weights import find_embedded
from sidecar.scoring.checkpoints.manifest import Beside, Manifest, read_manifest, write_manifest
from sidecar.scoring.checkpoints.presets import MINILM, PLAIN_PAIR
from sidecar.scoring.fingerprint import fingerprint
from sidecar.scoring.loading import load_scorer
from tests.support.models.values import values

QUERY = "which passage holds the words of a query"
PASSAGES = [Passage("Title", "words of a query"), Passage("", "something else"), Passage("", "word " * 90)]
WEIGHT = 3.0


@pytest.fixture(scope="module")
def model(tiny_bert, tmp_path_factory):
    folder = tmp_path_factory.mktemp("beside")
    for file in tiny_bert.iterdir():
        (folder / file.name).symlink_to(file)
    write_manifest(msgspec.structs.replace(PLAIN_PAIR, max_length=64, beside=Beside("e5-small", WEIGHT)), folder)
    return str(folder)


@pytest.fixture(scope="module")
def parts(tiny_bert):
    return load_scorer(str(tiny_bert), device="cpu", max_length=64), load_scorer("e5-small", device="cpu", cache_size=0)


@pytest.mark.parametrize("options", [{}, {"invariant": True}, {"engine": "transformers"}, {"cache_size": 0}])
def test_a_score_is_the_sum_of_both(model, parts, options):
    scorer = load_scorer(model, device="cpu", **options)
    logits, cosines = (values(part, QUERY, PASSAGES) for part in parts)
    expected = [logit + WEIGHT * cosine for logit, cosine in zip(logits, cosines, strict=True)]
    near = pytest.approx(expected, abs=0.1)  # bfloat16 where the CPU has it
    assert values(scorer, QUERY, PASSAGES) == near
    readings = [scorer.read("another", PASSAGES[:1]), scorer.read(QUERY, PASSAGES), scorer.read(QUERY, [])]
    assert [score.value for score in scorer.score_all(readings)[1]] == near
    reading = readings[1]
    assert [length > 0 for length in reading.lengths] == [True] * 3
    assert [score.value for score in scorer.score_all([reading.part(1, 3)])[0]] == pytest.approx(expected[1:], abs=0.1)
    assert [score.truncated for score in scorer.score(QUERY, PASSAGES)] == [False, False, True]
    assert (scorer.name, scorer.engine_name) == (model, scorer.cross.engine_name)


def test_long_passages_go_in_chunks_through_both(model):
    whole = load_scorer(model, device="cpu")
    chunked = load_scorer(model, device="cpu", chunking=Chunking(tokens=20, overlap=4))
    assert chunked.score(QUERY, PASSAGES)[2].chunk is not None
    assert values(chunked, QUERY, PASSAGES[:2]) == pytest.approx(values(whole, QUERY, PASSAGES[:2]), abs=0.1)


def test_it_travels_with_the_manifest(model):
    assert read_manifest(Path(model)).beside == Beside("e5-small", WEIGHT)


@pytest.mark.parametrize(
    "what",
    [
        '{"beside": {"model": "", "weight": 1}}',
        '{"beside": {"model": "e5-small", "weight": 0}}',
        '{"beside": {"model": 1}}',
        '{"beside": {"model": "https://scores.example", "weight": 1}}',
    ],
)
def test_one_that_makes_no_sense_is_refused(tmp_path, what):
    (tmp_path / "sidecar.json").write_text(what)
    with pytest.raises(ModelError):
        read_manifest(tmp_path)


def test_a_bi_encoder_has_none_beside_it():
    with pytest.raises(ValueError, match="beside is for cross-encoders"):
        Manifest(kind="bi-encoder", pooling="mean", beside=Beside("e5-small", 1.0))


def test_another_bi_encoder_beside_it_makes_other_scores(tiny_bert, tmp_path):
    beside, cross = tmp_path / "bi", tmp_path / "cross"
    for folder, source in ((beside, find_embedded()), (cross, tiny_bert)):
        folder.mkdir()
        for file in source.iterdir():
            if file.is_file():
                shutil.copy(file, folder)
    write_manifest(MINILM, beside)
    write_manifest(msgspec.structs.replace(PLAIN_PAIR, max_length=64, beside=Beside(str(beside), WEIGHT)), cross)
    scorer = load_scorer(str(cross), device="cpu")
    before = fingerprint(scorer, ModelSpec(model=str(cross)))
    assert fingerprint(scorer, ModelSpec(model=str(cross))) == before
    os.utime(beside / "model.safetensors", ns=(1, 1))
    assert fingerprint(scorer, ModelSpec(model=str(cross))) != before


def test_another_cross_encoder_beside_it_is_refused_and_so_is_itself(tiny_bert, tmp_path):
    cross = shutil.copytree(tiny_bert, tmp_path / "cross")
    for other in (tiny_bert, cross):
        write_manifest(msgspec.structs.replace(PLAIN_PAIR, max_length=64, beside=Beside(str(other), WEIGHT)), cross)
        with pytest.raises(ModelError, match="is to stand beside a cross-encoder, and is no bi-encoder"):
            load_scorer(str(cross), device="cpu")
