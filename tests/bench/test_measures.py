import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, LlamaConfig

from sidecar.bench.measures import Memory, describe_machine, matmul_peak, useful_flops

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_labels": 1}


def test_operations_of_an_encoder():
    model = AutoModelForSequenceClassification.from_config(BertConfig(vocab_size=50, **SIZES))
    weights = 2 * (4 * 32 * 32 + 2 * 32 * 64)

    assert useful_flops(model, [10, 20]) == 2 * weights * 30 + 2 * 4 * 32 * (10**2 + 20**2)


def test_operations_of_a_decoder_with_grouped_queries():
    model = AutoModelForSequenceClassification.from_config(
        LlamaConfig(vocab_size=50, num_key_value_heads=2, head_dim=8, **SIZES)
    )
    weights = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64)

    # A causal position sees half of the others on average.
    assert useful_flops(model, [10]) == 2 * weights * 10 + 2 * 2 * 32 * 10**2


def test_a_shape_counts_about_two_operations_for_each_weight_and_token():
    from sidecar.bench.shapes import SHAPES

    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(LlamaConfig(num_labels=1, **SHAPES["3b"]))

    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(3.21e9, rel=0.01)
    assert useful_flops(model, [100]) == pytest.approx(2 * 2.82e9 * 100, rel=0.01)


def test_the_peak_is_what_a_machine_can_do():
    assert 1e8 < matmul_peak(torch.device("cpu"), torch.float32) < 1e14


def test_memory_sees_what_is_allocated_and_forgets_it():
    memory = Memory(torch.device("cpu"))
    before = memory.now()
    memory.forget()
    block = torch.ones(64_000_000)  # 256 MB, far more than whatever else comes and goes
    assert memory.peak() - before > 150e6

    del block
    memory.forget()
    assert memory.peak() - before < 150e6


def test_the_machine_in_words():
    assert f"{torch.get_num_threads()} threads" in describe_machine(torch.device("cpu"))
