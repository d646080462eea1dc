"""`sidecar fit-calibration`: what is fitted, where it is kept, and what can't be."""

from __future__ import annotations

import json
import shutil

import pytest

from sidecar.core.candidates import Passage
from sidecar.scoring.calibration import Judged, calibrate
from sidecar.scoring.checkpoints.manifest import read_manifest
from sidecar.scoring.loading import load_scorer

TEXTS = ["a red fox", "a fox that jumps", "one dog", "the dog sleeps", "no animal at all", "words of a query"]


@pytest.fixture
def model(tiny_bert, tmp_path):
    shutil.copytree(tiny_bert, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def judged(tmp_path, model):
    """Ten queries, the three passages the model likes best being the relevant ones, but for one mistake each."""
    scorer, lines, pairs = load_scorer(str(model), device="cpu"), [], []
    for number in range(10):
        query = f"query {number}"
        scores = [score.value for score in scorer.score(query, [Passage("", text) for text in TEXTS])]
        best = sorted(range(6), key=lambda i: -scores[i])
        relevant = {best[0], best[1], best[3]}
        hits = [{"docid": str(i), "text": text, "label": int(i in relevant)} for i, text in enumerate(TEXTS)]
        lines.append({"query_id": f"q{number}", "query": query, "candidates": hits})
        pairs += [Judged(f"q{number}", scores[i], i in relevant) for i in range(6)]
    (tmp_path / "judged.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    qrels = [f"{pair.qid} 0 {i % 6} {2 * pair.relevant + 1}\n" for i, pair in enumerate(pairs)]
    (tmp_path / "qrels").write_text("".join(qrels))
    return pairs


def words(model, *more):
    return ("fit-calibration", "judged.jsonl", "--model", model, "--device", "cpu", *more)


def test_labels_calibrate_a_checkpoint_and_stay_beside_it(run, model, judged):
    status, out, err = run(*words(model))
    assert (status, out) == (0, "")
    expected = calibrate(judged, load_scorer(str(model), device="cpu").mapping)
    found = read_manifest(model)
    mapping = load_scorer(str(model), device="cpu").mapping
    assert (mapping.a, mapping.b, mapping.calibrated) == (
        pytest.approx(expected.mapping.a, rel=1e-4),
        pytest.approx(expected.mapping.b, rel=1e-4),
        True,
    )
    assert found.pooling == "model"
    assert "fitted on 48 pairs; on 12 pairs of 2 queries held out" in err
    assert f"{expected.before.log_loss:.4f}" in err


def test_grades_from_three_on_calibrate_alike_and_go_where_they_are_told_to(run, model, judged, tmp_path):
    status, out, _ = run(*words(model, "--qrels", "qrels", "--relevant-from", "3", "--output", "mine.json"))
    assert (status, out) == (0, "")
    assert not (model / "sidecar.json").exists()
    fitted = json.loads((tmp_path / "mine.json").read_text())["score_mapping"]
    assert fitted["a"] == pytest.approx(calibrate(judged, lambda score: 0.5).mapping.a, rel=1e-4)


def test_a_presets_manifest_is_printed(run, tmp_path):
    texts = [("flour, water and an oven", 1), ("bread rises in a warm oven", 1), ("a fast car", 0), ("wet paint", 0)]
    hits = [{"docid": str(i), "text": text, "label": label} for i, (text, label) in enumerate(texts)]
    lines = [{"query_id": f"q{i}", "query": "how do I bake bread", "candidates": hits} for i in range(5)]
    (tmp_path / "judged.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    status, out, _ = run(*words("e5-small"))
    found = json.loads(out)
    assert (status, found["kind"], found["score_mapping"]["a"] > 0) == (0, "bi-encoder", True)


@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--relevant-from", "2"), "all 60 judged pairs are irrelevant"),
        (("--qrels", "others"), "has no judged candidate with text"),
        (("--qrels", "one"), "all 1 judged pairs are relevant"),
    ],
)
def test_what_can_not_be_fitted_writes_nothing(run, model, tmp_path, more, message):
    (tmp_path / "others").write_text("q99 0 0 1\n")
    (tmp_path / "one").write_text("q1 0 0 1\n")
    status, out, err = run(*words(model, *more))
    assert (status, out) == (1, "")
    assert message in err
    assert not (model / "sidecar.json").exists()


def test_the_unjudged_may_count_as_irrelevant(run, model, judged, tmp_path):
    # Eight queries have a judgement, of their best passage; the other five of each are unjudged.
    best = {}
    for i, pair in enumerate(judged):
        best[pair.qid] = max(best.get(pair.qid, (pair.score, i % 6)), (pair.score, i % 6))
    (tmp_path / "some").write_text("".join(f"q{i} 0 {best[f'q{i}'][1]} 1\n" for i in range(8)))
    status, _, err = run(*words(model, "--qrels", "some", "--unjudged", "irrelevant"))
    assert (status, "fitted on 42 pairs; on 6 pairs of 1 queries held out" in err) == (0, True), err
