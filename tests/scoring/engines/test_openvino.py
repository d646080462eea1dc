"""OpenVINO's engines against transformers, one row at a time and without padding."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from sidecar.core.candidates import Passage
from sidecar.core.errors import ConfigurationError, NonFiniteScore
from sidecar.scoring import hardware
from sidecar.scoring.checkpoints.checkpoint import Placement, load_classifier
from sidecar.scoring.engines import openvino_select
from sidecar.scoring.engines.openvino import OpenVinoEmbedder, OpenVinoEngine
from sidecar.scoring.engines.transformers import PaddedEmbedder
from sidecar.scoring.hardware import native_precisions
from sidecar.scoring.loading import load_scorer
from sidecar.scoring.prompt import Tokens
from tests.support.models.values import values

FP32 = 1e-5
QUERY = "which passage holds the words of a query"
LENGTHS = [2, 3, 8, 17, 31, 64, 2, 5, 48]


@pytest.fixture(scope="module")
def plain(tiny_bert):
    return load_scorer(str(tiny_bert), device="cpu", engine="transformers").checkpoint


@pytest.fixture(scope="module")
def embedded():
    return load_scorer("e5-small", device="cpu", engine="transformers").checkpoint


@pytest.fixture(scope="module")
def engine(plain):
    return OpenVinoEngine(plain)


def drawn(lengths, *, vocabulary, segments=True, seed=0):
    """Rows of random ids, half of each in the second segment."""
    random.seed(seed)
    rows = []
    for length in lengths:
        ids = [random.randrange(5, vocabulary) for _ in range(length)]
        rows.append(Tokens(ids, types=[0] * (length - length // 2) + [1] * (length // 2) if segments else None))
    return rows


@torch.inference_mode()
def alone(model, row):
    types = {} if row.types is None else {"token_type_ids": torch.tensor([row.types])}
    return model(input_ids=torch.tensor([row.ids]), **types)


def logits_alone(model, rows):
    return [alone(model, row).logits.item() for row in rows]


@pytest.mark.parametrize("lengths", [LENGTHS, range(2, 60), [512, 2], [512], [1]])
def test_logits_equal_transformers(plain, engine, lengths):
    rows = drawn(lengths, vocabulary=plain.model.config.vocab_size)
    assert engine.logits([rows]) == [pytest.approx(logits_alone(plain.model, rows), abs=FP32)]


def test_segments_count(plain, engine):
    [row] = drawn([40], vocabulary=plain.model.config.vocab_size)
    [[with_segments], [without]] = engine.logits([[row], [Tokens(row.ids, types=[0] * len(row))]])
    assert with_segments == pytest.approx(logits_alone(plain.model, [row])[0], abs=FP32)
    assert abs(with_segments - without) > 1000 * FP32


@pytest.mark.parametrize("batch_size", [1, 2, 128])
def test_logits_come_back_in_groups_and_in_order(plain, batch_size):
    rows = drawn(LENGTHS, vocabulary=plain.model.config.vocab_size)
    expected = logits_alone(plain.model, rows)
    found = OpenVinoEngine(plain, batch_size=batch_size).logits([rows[:2], [], rows[2:]])
    assert found == [pytest.approx(expected[:2], abs=FP32), [], pytest.approx(expected[2:], abs=FP32)]


def test_the_same_rows_give_the_same_bits(plain, engine):
    rows = drawn(LENGTHS, vocabulary=plain.model.config.vocab_size)
    assert engine.logits([rows]) == engine.logits([rows]) == OpenVinoEngine(plain).logits([rows])


def test_roberta_counts_positions_behind_its_padding(tiny_kin):
    checkpoint = load_scorer(str(tiny_kin("xlm-roberta")), device="cpu", engine="transformers").checkpoint
    rows = drawn([*range(2, 65), 64], vocabulary=800, segments=False)
    expected = logits_alone(checkpoint.model, rows)
    assert OpenVinoEngine(checkpoint).logits([rows]) == [pytest.approx(expected, abs=FP32)]
    assert max(expected) - min(expected) > 1000 * FP32


def test_vectors_equal_a_plain_mean_of_the_embedded_model(embedded):
    rows = drawn([256, *LENGTHS], vocabulary=30000, segments=False)
    means = [alone(embedded.model, row).last_hidden_state[0].mean(0) for row in rows]
    for vector, mean in zip(OpenVinoEmbedder(embedded).vectors(rows), means, strict=True):
        assert vector == pytest.approx(torch.nn.functional.normalize(mean, dim=0).numpy(), abs=FP32)
        assert vector.dtype == np.float32
        assert vector.base is None


def test_a_vector_of_no_length_stays_one_as_with_transformers():
    checkpoint = load_scorer("e5-small", device="cpu", engine="transformers").checkpoint
    norm = checkpoint.model.encoder.layer[-1].output.LayerNorm
    torch.nn.init.zeros_(norm.weight)
    torch.nn.init.zeros_(norm.bias)
    [row] = drawn([5], vocabulary=30000, segments=False)
    for embedder in (OpenVinoEmbedder(checkpoint), PaddedEmbedder(checkpoint)):
        [vector] = embedder.vectors([row])
        assert not vector.any()  # NaN would be true


@pytest.mark.parametrize(
    "part", ["classifier.weight", "bert.pooler.dense.bias", "bert.encoder.layer.0.output.dense.bias"]
)
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_what_is_not_finite_in_the_weights_is_an_error(tiny_bert, part, value):
    scorer = load_scorer(str(tiny_bert), device="cpu", engine="transformers")
    model = load_classifier(tiny_bert, Placement("cpu"))
    model.get_parameter(part).data.view(-1)[-1] = float(value)
    scorer.engine = OpenVinoEngine(
        type(scorer.checkpoint)("broken", model, scorer.checkpoint.tokenizer, scorer.manifest)
    )
    expected = model(input_ids=torch.tensor([[2, 9, 3]])).logits.isfinite().item()
    if expected:  # a tanh bounds what comes out of the pooler
        assert torch.tensor(values(scorer, QUERY, [Passage("", "a")])).isfinite().all()
    else:
        with pytest.raises(NonFiniteScore):
            values(scorer, QUERY, [Passage("", "a")])


def test_several_threads_get_their_own_logits(plain, engine):
    work = [drawn(LENGTHS, vocabulary=plain.model.config.vocab_size, seed=seed) for seed in range(6)]
    expected = [logits_alone(plain.model, rows) for rows in work]
    found = [None] * len(work)

    def score(index):
        for _ in range(3):
            found[index] = engine.logits([work[index]])[0]

    threads = [threading.Thread(target=score, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [pytest.approx(row, abs=FP32) for row in expected]


def test_no_rows_no_logits(engine, embedded):
    assert engine.logits([[], []]) == [[], []]
    assert OpenVinoEmbedder(embedded).vectors([]) == []


def test_asked_for_by_name_it_computes(tiny_bert, passages):
    by_name = load_scorer(str(tiny_bert), device="cpu", engine="openvino")
    assert by_name.engine.name == "openvino"
    plainly = load_scorer(str(tiny_bert), device="cpu", engine="transformers")
    assert values(by_name, QUERY, passages) == pytest.approx(values(plainly, QUERY, passages), abs=FP32)


def test_architectures_without_a_graph_stay_with_torch(tiny_kin):
    assert load_scorer(str(tiny_kin("modernbert")), device="cpu").engine.name == "packed"
    assert load_scorer(str(tiny_kin("deberta")), device="cpu").engine.name == "transformers"
    with pytest.raises(ConfigurationError, match=r"ModernBertForSequenceClassification, not one of bert, roberta"):
        load_scorer(str(tiny_kin("modernbert")), device="cpu", engine="openvino")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_precision_is_never_emulated(tiny_bert, dtype, monkeypatch):
    monkeypatch.setattr(hardware, "native_precisions", lambda: ("float32",))
    assert load_scorer(str(tiny_bert), device="cpu", dtype=dtype).engine.name == "packed"
    with pytest.raises(ConfigurationError, match=f"this CPU computes in float32, not in {dtype}"):
        load_scorer(str(tiny_bert), device="cpu", dtype=dtype, engine="openvino")


def test_bfloat16_is_near_where_the_cpu_has_it(tiny_bert, passages, monkeypatch):
    exact = values(load_scorer(str(tiny_bert), device="cpu"), QUERY, passages)
    # Imported before any fixture ran, so it is the function that asks the CPU.
    monkeypatch.setattr(hardware, "native_precisions", native_precisions)
    if "bfloat16" in native_precisions():
        half = load_scorer(str(tiny_bert), device="cpu", dtype="bfloat16", engine="openvino")
        assert half.engine.name == "openvino-bfloat16"
        assert values(half, QUERY, passages) == pytest.approx(exact, abs=0.1 * torch.tensor(exact).std().item())
    else:
        assert load_scorer(str(tiny_bert), device="cpu", dtype="bfloat16").engine.name == "packed"


def test_without_openvino_torch_computes(tiny_bert, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(openvino_select.importlib.util, "find_spec", lambda name: None)
    assert load_scorer(str(tiny_bert), device="cpu").engine.name == "packed"
    with pytest.raises(ConfigurationError, match="openvino is not installed"):
        load_scorer(str(tiny_bert), device="cpu", engine="openvino")


def test_a_compiled_model_stays_with_torch(tiny_bert):
    assert load_scorer(str(tiny_bert), device="cpu", compile="before").engine.name == "transformers"


def test_a_precision_that_does_not_compute_is_left_out():
    """OpenVINO names bfloat16 by the CPU, and oneDNN held to AVX2 has no softmax in it."""
    scoring = (
        "from sidecar.core.candidates import Passage; from sidecar.scoring.loading import load_scorer;"
        "print(load_scorer('e5-small', device='cpu').score('q', [Passage('', 'a text')])[0].value)"
    )
    found = [
        float(subprocess.run([sys.executable, "-c", scoring], env=environment, capture_output=True, check=True).stdout)
        for environment in (dict(os.environ), {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"})
    ]
    assert found[0] == pytest.approx(found[1], abs=0.01)


AFFINITY = """
import os, sys
from pathlib import Path
from sidecar.core.candidates import Passage
from sidecar.scoring.loading import load_scorer
scorer = load_scorer(sys.argv[1], device="cpu", engine="openvino")
scorer.score("query", [Passage("", "text")])
print(min(len(os.sched_getaffinity(int(task.name))) for task in Path("/proc/self/task").iterdir()))
"""


@pytest.mark.skipif(sys.platform != "linux" or hardware.cores() < 2, reason="there is no choice between cores")
def test_a_process_with_some_of_the_cores_binds_its_threads_to_none(tiny_bert):
    """Otherwise two processes would both compute on the first core."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", AFFINITY, str(tiny_bert)]
    found = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert int(found.stdout) == len(os.sched_getaffinity(0))
