from __future__ import annotations

import shutil

import msgspec
import pytest

from sidecar.core.candidates import Passage
from sidecar.scoring import hardware
from sidecar.scoring.checkpoints.manifest import Manifest, write_manifest
from sidecar.scoring.engines import autotune, openvino_select
from sidecar.scoring.loading import load_scorer
from tests.support.models.values import values

QUERY = "which passage holds the words of a query"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "rerank-sidecar"


@pytest.fixture
def natively(monkeypatch):
    """Say what the CPU computes in, whatever it can."""

    def say(*precisions):
        monkeypatch.setattr(hardware, "native_precisions", lambda: precisions)

    say("float32")
    return say


@pytest.fixture
def timed(monkeypatch):
    """Let the probe find these seconds, and count how often it measures."""
    seconds, measured = {}, []

    def measure(runs, *, clock):
        measured.append(set(runs))
        return dict(seconds)

    monkeypatch.setattr(autotune, "measure", measure)
    return seconds, measured


@pytest.fixture
def roberta(tiny_kin):
    """An encoder that torch and OpenVINO both compute; BERT is read without torch, and OpenVINO's alone."""
    return tiny_kin("xlm-roberta")


def engine_of(directory, **options):
    return load_scorer(str(directory), device="cpu", **options).engine_name


@pytest.mark.parametrize("fastest", ["openvino", "packed"])
def test_auto_takes_what_was_measured_as_the_fastest_and_keeps_to_it(roberta, folder, natively, timed, fastest):
    seconds, measured = timed
    seconds.update({"openvino": 0.2, "packed": 0.2} | {fastest: 0.1})
    assert engine_of(roberta) == fastest
    seconds.update({"openvino": 0.1, "packed": 0.1} | {fastest: 0.5})
    assert engine_of(roberta) == fastest
    assert measured == [{"openvino", "packed"}]


def test_bfloat16_is_taken_where_it_is_clearly_faster_and_no_dtype_is_named(roberta, folder, natively, timed):
    natively("float32", "bfloat16")
    seconds, measured = timed
    seconds.update({"openvino": 0.3, "openvino-bfloat16": 0.2, "packed": 0.3})
    assert engine_of(roberta) == "openvino-bfloat16"
    assert engine_of(roberta, engine="openvino") == "openvino-bfloat16"
    assert measured == [set(seconds), set(seconds) - {"packed"}]
    del seconds["openvino-bfloat16"]
    assert engine_of(roberta, dtype="float32") == "openvino"


def test_bfloat16_is_left_where_it_is_hardly_faster(roberta, folder, natively, timed):
    natively("float32", "bfloat16")
    timed[0].update({"openvino": 0.3, "openvino-bfloat16": 0.29})
    assert engine_of(roberta, engine="openvino") == "openvino"


@pytest.mark.parametrize(("off", "measured"), [(0.14, {"openvino", "openvino-bfloat16"}), (0.16, {"openvino"})])
def test_bfloat16_is_no_candidate_for_a_model_that_it_hurts(
    roberta, folder, natively, timed, monkeypatch, off, measured
):
    natively("float32", "bfloat16")
    timed[0].update({"openvino": 0.3, "openvino-bfloat16": 0.3})
    monkeypatch.setattr(openvino_select, "deviation", lambda *_: off)
    assert engine_of(roberta, engine="openvino") == "openvino"
    assert timed[1] == [measured]


def test_what_is_named_is_not_measured(roberta, folder, natively, timed):
    assert engine_of(roberta, engine="openvino") == "openvino"
    assert engine_of(roberta, engine="transformers") == "transformers"
    assert timed[1] == []
    assert not folder.exists()


def test_without_a_cache_openvino_computes(roberta, folder, natively, timed):
    folder.write_text("in the way")
    assert engine_of(roberta) == "openvino"
    assert timed[1] == []


def test_cross_and_bi_encoders_are_measured_for_real_and_apart(roberta, folder, natively, tmp_path):
    embedder = shutil.copytree(roberta, tmp_path / "embedder")
    write_manifest(Manifest(kind="bi-encoder", pooling="mean", max_length=64), embedder)
    for model in (roberta, embedder):
        load_scorer(str(model), device="cpu")
    answers = list(autotune.remembered(folder))
    assert {answer.asked["kind"] for answer in answers} == {"cross-encoder", "bi-encoder"}
    assert all(min(answer.seconds.values()) > 0 for answer in answers)


def test_the_measured_rows_fit_the_model_and_the_time(tiny_kin):
    checkpoint = load_scorer(str(tiny_kin("xlm-roberta")), device="cpu", engine="transformers").checkpoint
    rows = openvino_select.rows_to_measure(checkpoint)
    assert [len(row) for row in rows] == [64, 64, 64, 64, 56, 48, 40, 24]
    checkpoint.model.config.hidden_size, checkpoint.model.config.intermediate_size = 4096, 16384
    assert len(openvino_select.rows_to_measure(checkpoint)) == 1


def test_another_machine_or_library_is_another_question(tiny_bert, monkeypatch):
    checkpoint = load_scorer(str(tiny_bert), device="cpu", engine="transformers").checkpoint
    names = ["openvino", "transformers"]
    before = openvino_select.describe(checkpoint, names)
    assert before == openvino_select.describe(checkpoint, names)
    assert before != openvino_select.describe(checkpoint, ["openvino"])
    monkeypatch.setattr(openvino_select, "cpu_name", lambda: "another")
    assert openvino_select.describe(checkpoint, names) != before
    manifest = msgspec.structs.replace(checkpoint.manifest, kind="bi-encoder", pooling="mean")
    bi_encoder = type(checkpoint)("x", checkpoint.model, None, manifest)
    assert openvino_select.describe(bi_encoder, names)["kind"] == "bi-encoder"


def test_torchs_copy_of_the_weights_is_let_go(roberta):
    scorer = load_scorer(str(roberta), device="cpu", engine="openvino")
    assert {parameter.device.type for parameter in scorer.checkpoint.model.parameters()} == {"meta"}
    assert len(values(scorer, QUERY, [Passage("", "a"), Passage("", "b")])) == 2
