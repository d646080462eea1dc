"""FP8 weights: the conversion, the product, whole models beside float32, and what is refused.

torch multiplies in FP8 on a CPU, too. `strict_kernel` takes only what the kernels of a GPU take.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from sidecar.core.errors import ConfigurationError
from sidecar.core.model_spec import ModelSpec
from sidecar.scoring.adapter_registry import AdapterRegistry
from sidecar.scoring.checkpoints.checkpoint import Placement
from sidecar.scoring.checkpoints.precision import unfit_for_fp8
from sidecar.scoring.engines.packed.block import steps_of
from sidecar.scoring.engines.packed.compiling import CompiledSteps
from sidecar.scoring.engines.packed.fp8 import E4M3, Fp8Matrix, failure, multiply, to_fp8, unfit_placement, unfit_sizes
from sidecar.scoring.engines.packed.loader import packs, read_decoder
from sidecar.scoring.fingerprint import fingerprint
from sidecar.scoring.loading import load, load_scorer
from sidecar.scoring.model_registry import ModelRegistry
from tests.support.models.devices import DEVICES
from tests.support.models.tiny_zoo import build_base
from tests.support.models.values import values

QUERY = "which passage holds the words of a query"
FP8 = Placement(device="cpu", dtype="bfloat16", quantization="fp8")
OPTIONS = {"device": "cpu", "dtype": "bfloat16", "quantization": "fp8"}
ON_GPU = "needs an NVIDIA GPU of compute capability 8.9 or later"


def has_fp8(device):
    return device == "cpu" or torch.cuda.get_device_capability() >= (8, 9)


PLACES = [device for device in DEVICES if has_fp8(device)]


@pytest.fixture
def anywhere(monkeypatch):
    """A CPU counts as a GPU with FP8."""
    monkeypatch.setattr("sidecar.scoring.engines.packed.readable.unfit_placement", lambda _: None)


@pytest.fixture
def strict_kernel(monkeypatch):
    """Multiply in float64, and only what a GPU's kernel takes; yield the sizes (T, K, N) of all products."""
    sizes = []

    def scaled_mm(a, b, *, scale_a, scale_b, out_dtype):
        (rows, inner), columns = a.shape, b.shape[1]
        assert (a.dtype, b.dtype, out_dtype) == (E4M3, E4M3, torch.bfloat16)
        assert a.stride() == (inner, 1)
        assert b.stride() == (1, inner)
        assert inner % 16 == columns % 16 == b.storage_offset() % 16 == 0
        assert (scale_a.shape, scale_b.shape) == ((rows, 1), (1, columns))
        assert scale_a.dtype == scale_b.dtype == torch.float32
        assert scale_a.is_contiguous()
        assert scale_b.is_contiguous()
        sizes.append((rows, inner, columns))
        return ((a.double() * scale_a.double()) @ (b.double() * scale_b.double())).to(out_dtype)

    monkeypatch.setattr(torch, "_scaled_mm", scaled_mm)
    return sizes


def matrix_of(weight):
    matrix = Fp8Matrix.empty(*weight.shape, device=weight.device)
    matrix.copy_(weight)
    return matrix


def exact(matrix):
    return matrix.values.double() * matrix.scales.double()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_largest_value_of_a_row_becomes_448(dtype):
    x = torch.tensor([[448, -224, 1, 0], [0, 0.5, -1, 0.25], [0, 0, 0, 0]], dtype=dtype)
    found, scales = to_fp8(x)
    assert scales.flatten().tolist() == [1, torch.tensor(1 / 448).item(), torch.finfo(torch.float32).tiny]
    assert found.float().tolist() == [[448, -224, 1, 0], [0, 224, -448, 112], [0, 0, 0, 0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1e-42, 1e-30, 1.0, 1e30, 4e37])
def test_a_value_is_off_by_at_most_a_sixteenth_of_itself_or_a_1024th_of_the_scale(dtype, size):
    torch.manual_seed(0)
    # Some values of a row are much smaller than its largest one.
    x = torch.rand(300, 64).sub(0.5).pow(3).mul(8 * size).to(dtype)
    found, scales = (part.double() for part in to_fp8(x))
    bound = torch.maximum(x.double().abs() / 16, scales / 1024)
    assert ((found * scales - x.double()).abs() <= bound * (1 + 1e-6)).all()
    if size > 1e-35:
        assert (found.abs().amax(1) == 448).all()


def test_one_outlier_does_not_change_other_rows():
    x = torch.ones(3, 16)
    x[1, 2] = 1e6
    matrix = matrix_of(x)
    assert exact(matrix)[[0, 2]].allclose(torch.ones(2, 16, dtype=torch.float64))
    assert exact(matrix)[1].count_nonzero() == 1


@pytest.mark.parametrize("strange", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_make_their_row_nan(strange):
    x = torch.ones(3, 16)
    x[1, 2] = strange
    found = multiply(x, matrix_of(torch.ones(16, 16)))
    assert found.isnan().any(1).tolist() == [False, True, False]
    assert multiply(torch.ones(2, 16), matrix_of(x.repeat(16, 1)[:16])).isnan().any()


@pytest.mark.parametrize("device", PLACES)
@pytest.mark.parametrize(("rows", "inner", "columns"), [(1, 16, 16), (7, 64, 48), (129, 512, 256)])
def test_a_product_is_that_of_the_converted_rows_rounded_to_bfloat16(device, rows, inner, columns):
    torch.manual_seed(1)
    # As attention's result may lie: not row by row.
    x = torch.randn(inner, rows, dtype=torch.bfloat16).t().mul(torch.logspace(-4, 4, rows)[:, None]).bfloat16()
    weight, bias = torch.randn(columns, inner).mul(torch.logspace(-2, 2, columns)[:, None]), torch.randn(columns)
    matrix = matrix_of(weight.to(device))
    plain = multiply(x.to(device), matrix)
    found = multiply(x.to(device), matrix, bias.to(device, torch.bfloat16))
    values_of_x, scales = to_fp8(x)
    expected = (values_of_x.double() * scales.double()) @ exact(matrix).cpu().t()
    assert plain.dtype == found.dtype == torch.bfloat16
    size = (x.double().abs() @ weight.double().abs().t()).clamp(min=1)
    summed = 1e-5 if device == "cpu" else 1e-3  # Hopper's tensor cores add with fewer bits than float32
    assert ((plain.cpu().double() - expected).abs() <= expected.abs() / 256 + size * summed).all()
    assert torch.equal(found.cpu(), plain.cpu() + bias.bfloat16())
    # Each factor is off by at most a sixteenth, but for the smallest ones; the errors partly cancel.
    error = (expected - x.double() @ weight.double().t()).abs()
    assert 0 < (error / size).max() < 2 / 16 + 1 / 256


def test_parts_are_views_and_a_conversion_in_parts_is_that_of_the_whole(monkeypatch):
    weight = torch.randn(96, 32)
    whole = matrix_of(weight)
    monkeypatch.setattr("sidecar.scoring.engines.packed.fp8.PART", 5 * 32)
    parts = Fp8Matrix.empty(96, 32, device=torch.device("cpu"))
    for slot, part in zip(parts.split((64, 16, 16)), weight.split((64, 16, 16)), strict=True):
        slot.copy_(part)
    assert torch.equal(exact(parts), exact(whole))
    assert torch.equal(exact(whole[64:80]), exact(whole)[64:80])
    assert (len(whole), whole.shape, whole.nbytes) == (96, (96, 32), 96 * 32 + 96 * 4)


def test_an_adapter_is_merged_before_its_matrices_are_converted_and_nothing_else_is(tiny_llama):
    base, adapter = tiny_llama
    single = read_decoder(base, Placement(device="cpu", dtype="float32"), adapter=adapter).slots()
    half = read_decoder(base, Placement(device="cpu", dtype="bfloat16"), adapter=adapter).slots()
    slots = read_decoder(base, FP8, adapter=adapter).slots()
    converted = {name for name, slot in slots.items() if isinstance(slot, Fp8Matrix)}
    assert converted == {name for name in slots if "_proj." in name}
    for name in converted:
        assert torch.equal(exact(slots[name]), exact(matrix_of(single[name])))
    assert all(torch.equal(slots[name], half[name]) for name in slots.keys() - converted)
    assert slots["score.weight"].dtype == torch.float32


@pytest.mark.usefixtures("anywhere")
def test_a_tiny_llama_scores_nearly_as_in_float32(tiny_llama, passages, strict_kernel):
    exactly = values(load_scorer(str(tiny_llama[1]), device="cpu"), QUERY, passages)
    without = values(load_scorer(str(tiny_llama[1]), device="cpu", adapter=False), QUERY, passages)
    scorer = load_scorer(str(tiny_llama[1]), **OPTIONS)
    assert scorer.engine_name == "packed-fp8"
    sigma = torch.tensor(exactly).std().item()
    errors = [abs(a - b) / sigma for a, b in zip(values(scorer, QUERY, passages), exactly, strict=True)]
    changes = [abs(a - b) / sigma for a, b in zip(without, exactly, strict=True)]
    assert 0 < max(errors) < 0.2
    assert sum(errors) < sum(changes) / 4
    # The first layer's four products, and the last one's, whose queries are those of the pooled rows.
    assert [size[1:] for size in strict_kernel[:9]] == [
        *[(64, 128), (64, 64), (64, 256), (128, 64)],
        *[(64, 64), (64, 64), (64, 64), (64, 256), (128, 64)],
    ]


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("family", ["qwen2", "qwen3", "gemma2", "gemma3_text"])
def test_other_decoders_score_nearly_as_in_float32(tmp_path, passages, family):
    build_base(family, tmp_path)
    exactly = torch.tensor(values(load_scorer(str(tmp_path), device="cpu"), QUERY, passages))
    found = torch.tensor(values(load_scorer(str(tmp_path), **OPTIONS), QUERY, passages))
    assert 0 < (found - exactly).abs().max() < exactly.std()


@pytest.mark.usefixtures("anywhere")
def test_compiled_once_it_serves_any_number_of_rows(tiny_llama, passages):
    scorer = load_scorer(str(tiny_llama[1]), **OPTIONS)
    expected = values(scorer, QUERY, passages)
    engine = scorer.engine
    plain = steps_of(engine.decoder, multiply)
    engine.compiled = CompiledSteps(plain, engine.decoder, backend="eager")
    engine.compiled.wait()
    assert engine.compiled.steps is not plain
    assert values(scorer, QUERY, passages) == pytest.approx(expected, abs=1e-5)
    for passage, score in zip(passages[:3], expected, strict=False):
        assert values(scorer, QUERY, [passage]) == pytest.approx([score], abs=0.1)


@pytest.mark.usefixtures("anywhere")
def test_adapters_of_one_base_are_loaded_by_themselves_and_score_as_alone(tiny_llama, tiny_models, tmp_path, passages):
    second = tiny_models.build_adapter(tiny_llama[0], tmp_path / "second", seed=8)
    models = {name: ModelSpec(model=str(path), **OPTIONS) for name, path in (("a", tiny_llama[1]), ("b", second))}
    scorers = ModelRegistry(models).scorers
    assert scorers["a"].checkpoint.model is not scorers["b"].checkpoint.model
    for name, spec in models.items():
        assert values(scorers[name], QUERY, passages) == values(load(spec), QUERY, passages)
    with pytest.raises(ConfigurationError, match="merged from stored weights, not from fp8 ones"):
        AdapterRegistry(tiny_llama[0], FP8)


@pytest.mark.usefixtures("anywhere")
def test_its_scores_are_never_taken_for_those_of_bfloat16(tiny_llama):
    specs = [ModelSpec(model=str(tiny_llama[1]), **OPTIONS | {"quantization": kind}) for kind in ("none", "fp8")]
    plain, quantised = (fingerprint(load(spec), spec) for spec in specs)
    assert plain != quantised


@pytest.mark.parametrize(
    ("device", "capability", "reason"),
    [
        ("cpu", None, "the device is cpu"),
        ("mps", None, "the device is mps"),
        ("rocm", (9, 4), "the device is rocm"),
        ("cuda", None, "torch sees no such GPU"),
        ("cuda", (8, 0), "this one has 8.0"),  # A100
        ("cuda", (8, 9), None),  # L4
        ("cuda", (9, 0), None),  # H100
        ("cuda", (12, 0), None),
    ],
)
def test_which_gpus_have_it(device, capability, reason):
    found = unfit_for_fp8(device, capability)
    assert found is None if reason is None else f"{ON_GPU} (L4, RTX 40, H100 …), " in found.replace("and ", "")
    assert reason is None or found.endswith(reason)


def placed(dtype, capability=(9, 0)):
    return SimpleNamespace(
        torch_device=lambda: torch.device("cuda"),
        capability=lambda: capability,
        torch_dtype=lambda: getattr(torch, dtype),
        dtype_name=lambda: dtype,
    )


def test_a_placement_without_bfloat16_or_without_nvidia_is_refused(monkeypatch):
    assert "the dtypes auto and bfloat16, not with float16" in unfit_placement(placed("float16"))
    assert "this one has 8.6" in unfit_placement(placed("bfloat16", (8, 6)))
    monkeypatch.setattr(torch.version, "hip", "7.0")
    assert "the device is rocm" in unfit_placement(placed("bfloat16"))


def test_a_kernel_that_fails_or_multiplies_wrongly_is_found_out(monkeypatch):
    cpu = torch.device("cpu")
    assert failure(cpu) is None

    def missing(*_, **__):
        raise RuntimeError("no kernel image is available\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(torch, "_scaled_mm", missing)
    assert failure(cpu).endswith("can't multiply in FP8 on this GPU (no kernel image is available)")
    monkeypatch.setattr(torch, "_scaled_mm", lambda a, b, **_: torch.zeros(16, 16))
    assert "multiplies wrongly" in failure(cpu)


@pytest.mark.parametrize("engine", ["auto", "packed"])
def test_a_device_without_it_is_refused_in_words(tiny_llama, engine):
    with pytest.raises(ConfigurationError, match=f"with fp8 weights: FP8 {ON_GPU}.*, and the device is cpu") as caught:
        load_scorer(str(tiny_llama[1]), device="cpu", quantization="fp8", engine=engine)
    assert caught.value.remedy == "Use quantization none."
    with pytest.raises(ConfigurationError, match="does not spread a model by a device_map"):
        packs("auto", tiny_llama[0], Placement(device_map="auto", quantization="fp8"))


@pytest.mark.parametrize("engine", ["transformers", "openvino", "card"])
def test_other_engines_refuse_it(tiny_llama, engine):
    with pytest.raises(ConfigurationError, match="Only the packed engine has fp8 weights"):
        load_scorer(str(tiny_llama[1]), device="cpu", quantization="fp8", engine=engine)


@pytest.mark.parametrize("engine", ["auto", "packed"])
@pytest.mark.parametrize("kind", ["cross-encoder", "bi-encoder"])
def test_encoders_refuse_it(tiny_bert, embedded_floats, engine, kind):
    model = str(tiny_bert) if kind == "cross-encoder" else embedded_floats
    with pytest.raises(ConfigurationError, match="Only the packed engine has fp8 weights"):
        load_scorer(model, device="cpu", quantization="fp8", engine=engine)


@pytest.mark.usefixtures("anywhere")
def test_batch_invariant_scores_in_fp8_are_refused(tiny_llama):
    with pytest.raises(ConfigurationError, match="not known to be the same in every batch") as caught:
        load_scorer(str(tiny_llama[1]), invariant=True, **OPTIONS)
    assert caught.value.remedy == "Leave batch_invariant out, or use quantization none."


@pytest.mark.usefixtures("anywhere")
def test_sizes_that_the_kernels_do_not_take_are_refused(tiny_models, tmp_path):
    base, _ = tiny_models.build_tiny_llama(tmp_path, hidden_size=24, heads=2, kv_heads=1)
    with pytest.raises(ConfigurationError, match="its qkv weights have a size of 24, and FP8 needs multiples of 16"):
        packs("auto", base, FP8)
    assert unfit_sizes({"qkv": ((64, 16, 16), 64), "down": ((64,), 128)}) is None
    assert "its qkv weights have a size of 8" in unfit_sizes({"qkv": ((64, 8, 8), 64)})
