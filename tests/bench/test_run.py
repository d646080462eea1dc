"""The whole bench on tiny models: what is installed runs, and what is not is named."""

import json
import sys
from time import perf_counter

import pytest

from sidecar.bench import ours, scaling
from sidecar.bench.agreement import agree, compare
from sidecar.bench.competitors.card import oracle
from sidecar.bench.options import Options
from sidecar.bench.run import run
from sidecar.bench.shapes import ENCODER_SHAPES
from sidecar.bench.subject import prepare
from sidecar.core.errors import ConfigurationError
from sidecar.scoring.engines.names import ENGINES
from tests.support.bench import make_query

OURS = {"ours", *(f"ours-{name}" for name in ENGINES if name != "auto")}


@pytest.fixture(autouse=True)
def without_exporters(monkeypatch):
    """Exports take long, and the other libraries are no part of the tests' environment."""
    for name in ("onnxruntime", "openvino", "rerankers"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "lists.jsonl"
    texts = [f"fleas live {'for days ' * (n % 5)}{n}" for n in range(12)]
    with path.open("w") as stream:
        for qid in "12":
            hits = [{"docid": f"{qid}-{n}", "title": "", "text": text} for n, text in enumerate(texts)]
            stream.write(json.dumps({"query_id": qid, "query": f"how long {qid}", "candidates": hits}) + "\n")
    return path


@pytest.fixture
def tiny_shape(monkeypatch):
    from sidecar.bench import shapes

    kept = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 96, "vocab_size": 30522}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 512}
    monkeypatch.setitem(shapes.SHAPES, "3b", {**kept, **heads})


def test_all_that_is_installed_scores_as_the_oracle_does(tiny_bert, pairs):
    report = run(Options(pairs=pairs, model=str(tiny_bert), device="cpu", rounds=2), clock=perf_counter)
    by_name = {line.name: line for line in report.systems}

    assert {"card-helper-228", "card-helper-longest", "card-helper-sorted", "sentence-transformers"} <= by_name.keys()
    assert by_name.keys() | report.work.left_out.keys() >= OURS
    assert "ours" in by_name
    assert {name: line.max_diff_sigma for name, line in by_name.items() if line.max_diff_sigma > 1e-3} == {}
    assert {len(line.rounds_s) for line in report.systems} == {2}
    assert (report.work.queries, report.work.pairs, report.work.cut) == (2, 24, "")
    assert all(line.share_of_peak > 0 for line in report.systems)
    missing = report.work.left_out
    assert {"sentence-transformers-onnx", "sentence-transformers-openvino", "rerankers"} <= missing.keys()
    assert all("can't be imported" in missing[name] for name in missing if not name.startswith("ours"))


def test_systems_share_the_weights_of_a_shape(pairs, tiny_shape, monkeypatch):
    monkeypatch.setattr(scaling, "CALLERS", (1, 3))
    options = Options(pairs=pairs, shape="3b", device="cpu", rounds=2, scaling=True)
    report = run(options, clock=perf_counter)
    by_name = {line.name: line for line in report.systems}

    assert {"card-helper-228", "card-helper-sorted", "sentence-transformers", "ours"} <= by_name.keys()
    assert {name: line.max_diff_sigma for name, line in by_name.items() if line.max_diff_sigma > 1e-3} == {}
    assert [point.size for point in by_name["ours"].by_documents] == [1, 10]
    assert [point.size for point in by_name["ours"].by_callers] == [1, 3]
    assert by_name["card-helper-228"].by_documents == []


@pytest.mark.parametrize("shape", ENCODER_SHAPES)
def test_competitors_and_ours_load_an_encoder_of_a_shape_alike(shape, tmp_path, monkeypatch):
    small = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
    monkeypatch.setitem(ENCODER_SHAPES, shape, {**ENCODER_SHAPES[shape], **small})
    subject = prepare(tmp_path, Options(shape=shape, device="cpu"))
    query = make_query("q", 4)
    expected = oracle(subject)(query)
    for engine in ("packed", "transformers"):
        scorer = ours.scorer(subject, engine, dtype="float32")
        assert scorer.engine_name == engine
        found = [score.value for score in scorer.score(query.text, query.passages)]
        assert found == pytest.approx(expected, abs=1e-5)


def test_the_embedded_model_with_a_random_head_is_measured_by_default(tmp_path):
    one, other = (prepare(tmp_path / name, Options(device="cpu", seed=seed)) for name, seed in (("a", 0), ("b", 1)))

    assert (one.directory / "sidecar.json").is_file()
    heads = [subject.checkpoint.model.classifier.weight for subject in (one, other)]
    assert heads[0].abs().sum() > 0
    assert not heads[0].equal(heads[1])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(model="e5-small", device="cpu"), "not a cross-encoder"),
        (Options(model="e5-small", shape="3b", device="cpu"), "exclude each other"),
    ],
)
def test_what_can_not_be_compared_is_refused(options, said, tmp_path):
    with pytest.raises(ConfigurationError, match=said):
        prepare(tmp_path, options)


def test_every_other_engine_orders_as_plain_float32(tiny_bert, pairs):
    advanced = []
    qrels = {"1": {"1-3": 2}, "9": {"x": 1}}

    report = agree(
        Options(pairs=pairs, model=str(tiny_bert), device="cpu", quantization="fp8"), qrels, advance=advanced.append
    )

    by_name = {one.name: one for one in report.systems}
    assert by_name.keys() | report.left_out.keys() == {*ENGINES, "openvino-bfloat16", "packed-fp8"} - {"transformers"}
    assert "Only the packed engine has fp8 weights" in report.left_out["packed-fp8"]
    assert by_name["auto"].engine == "packed"
    assert (by_name["card"].identical, by_name["card"].queries) == (2, 2)
    assert by_name["card"].ndcg_difference == pytest.approx(0.0)
    assert advanced == [12] * 2 * (1 + len(by_name))


def test_an_engine_that_orders_differently_is_found_out():
    queries = [make_query("q", 3)]

    found = compare("broken", [[1.0, 2.0, 3.0]], [[3.0, 2.0, 1.0]], queries, {"q": {"q-0": 1}})

    assert (found.identical, found.tau_min) == (0, pytest.approx(-1.0))
    assert found.ndcg == pytest.approx(0.5)
    assert found.ndcg_difference == pytest.approx(-0.5)
