"""The engine's memory, counted in the bytes of live tensors: a GPU's memory without a GPU."""

from __future__ import annotations

import math
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import LlamaConfig

from sidecar.bench.shapes import SHAPES
from sidecar.scoring.checkpoints.checkpoint import Placement
from sidecar.scoring.checkpoints.manifest import Manifest
from sidecar.scoring.engines.packed.engine import PackedEngine
from sidecar.scoring.engines.packed.loader import read_decoder
from sidecar.scoring.engines.packed.lora import Factors
from sidecar.scoring.engines.packed.weights import empty_decoder
from sidecar.scoring.prompt import Tokens

# Llama-3.2-3B an eighth as wide: per token an eighth of the memory.
NARROW = 8
WIDTHS = ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
SHAPE = (
    SHAPES["3b"]
    | {name: SHAPES["3b"][name] // NARROW for name in WIDTHS}
    | {"num_hidden_layers": 3, "vocab_size": 1000, "num_labels": 1}
)
PAIRS, LENGTH = 16, 128


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of every storage that an operation makes, until it is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        given = {tensor.untyped_storage().data_ptr() for tensor in tensors((args, kwargs))}
        found = function(*args, **(kwargs or {}))
        for storage in (tensor.untyped_storage() for tensor in tensors(found)):
            address = storage.data_ptr()
            if address not in given and address not in self._sizes:
                self._sizes[address] = storage.nbytes()
                weakref.finalize(storage, self._sizes.pop, address, None)
        self.peak = max(self.peak, sum(self._sizes.values()))
        return found


def tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def test_16k_tokens_of_a_3b_model_take_less_than_a_gigabyte_and_a_half_beside_its_weights():
    llama = empty_decoder(LlamaConfig(**SHAPE), dtype=torch.bfloat16, device=torch.device("cpu"))
    for slot in llama.slots().values():
        slot.normal_(0, 0.02)
    pairs = [Tokens([7 + (index + place) % 900 for place in range(LENGTH)]) for index in range(PAIRS)]
    engine = PackedEngine(llama, Manifest(), eos=0, max_tokens=PAIRS * LENGTH)
    with torch.inference_mode(), LiveBytes() as live:
        engine.logits([pairs])
    assert 0.5e9 < live.peak * NARROW * 16384 / (PAIRS * LENGTH) < 1.5e9


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_merge_is_made_in_parts_that_take_a_megabyte(dtype):
    rows, columns, rank = 1100, 1000, 16
    weight = torch.randn(rows, columns).to(dtype)
    factors = Factors(torch.randn(rows, rank), torch.randn(rank, columns), 0.5)
    expected = (weight.float() + 0.5 * (factors.up @ factors.down)).to(dtype)
    slot = torch.empty(rows, columns, dtype=dtype)
    with torch.inference_mode(), LiveBytes() as live:
        factors.merge(weight, slot)
    assert torch.allclose(slot.float(), expected.float(), rtol=2**-7 if dtype == torch.bfloat16 else 1e-5, atol=1e-5)
    assert live.peak < 2**20 + 2 * factors.up.nbytes


def test_loading_in_fp8_takes_the_weights_and_one_layer_more(tiny_models, tmp_path):
    base, adapter = tiny_models.build_tiny_llama(tmp_path, hidden_size=512, layers=4, heads=8)
    placement = Placement(device="cpu", dtype="bfloat16", quantization="fp8")
    with LiveBytes() as live:
        slots = read_decoder(base, placement, adapter=adapter).slots()
    layer = sum(math.prod(slot.shape) for name, slot in slots.items() if ".layers.0." in name)
    weights = sum(slot.nbytes for slot in slots.values())
    assert weights < live.peak < weights + 4 * layer
