"""Several adapters over one base: each scores as plain peft, whatever was used, evicted or loaded before."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from safetensors.torch import load_file, save_file

from sidecar.core.candidates import Passage
from sidecar.core.errors import AdapterMismatch, ConfigurationError, ModelError, ModelNotFound
from sidecar.scoring import adapter_registry as module
from sidecar.scoring.adapter_registry import AdapterRegistry
from sidecar.scoring.checkpoints.checkpoint import Placement
from sidecar.scoring.checkpoints.manifest import Manifest, write_manifest
from sidecar.scoring.loading import load_scorer
from tests.support.models.reference import load_reference, score_one
from tests.support.models.values import values

QUERY = "which passage holds the words"
PASSAGES = [Passage("", "word " * length) for length in range(1, 12)]
FEWER = ["q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]  # the authors' repository leaves k out


@pytest.fixture(scope="module")
def directories(tiny_llama, tiny_models, tmp_path_factory):
    base, first = tiny_llama
    folder = tmp_path_factory.mktemp("adapters")
    second = tiny_models.build_adapter(base, folder / "second", seed=8, r=32, lora_alpha=64, target_modules=FEWER)
    third = tiny_models.build_adapter(base, folder / "third", seed=9, r=4, lora_alpha=6, use_rslora=True)
    return {"base": base, "first": first, "second": second, "third": third}


@pytest.fixture(scope="module")
def expected(directories):
    def scores(adapter):
        reference = load_reference(directories[adapter], base=directories["base"])
        return [score_one(*reference, QUERY, p.title, p.text) for p in PASSAGES]

    return {name: scores(name) for name in ("first", "second", "third")}


@pytest.fixture
def registry(directories):
    registry = AdapterRegistry(directories["base"], Placement(device="cpu"), name="the base", merged=1)
    for name in ("first", "second"):
        registry.load(name, directories[name])
    return registry


def score(registry, name):
    return values(registry.scorer(name), QUERY, PASSAGES)


@pytest.mark.parametrize("merged", [1, 2])
def test_each_adapter_equals_plain_peft_and_switching_back_and_forth_changes_no_bit(directories, expected, merged):
    registry = AdapterRegistry(directories["base"], Placement(device="cpu"), merged=merged)
    for name in expected:
        registry.load(name, directories[name])
    first = {name: score(registry, name) for name in expected}
    for name, scores in first.items():
        assert scores == pytest.approx(expected[name], abs=1e-5)
        assert scores == values(load_scorer(str(directories[name]), device="cpu", engine="packed"), QUERY, PASSAGES)
    for _ in range(20):
        assert {name: score(registry, name) for name in expected} == first


def test_an_adapter_that_was_evicted_and_loaded_again_has_the_same_bits(registry, directories):
    scorer = registry.scorer("first")
    before = values(scorer, QUERY, PASSAGES)
    registry.evict("first")
    with pytest.raises(ModelNotFound, match="No adapter 'first' is loaded") as caught:
        values(scorer, QUERY, PASSAGES)
    assert "second" in caught.value.remedy
    with pytest.raises(ModelNotFound):
        registry.scorer("first")
    registry.load("first", directories["first"])
    assert values(scorer, QUERY, PASSAGES) == before


def test_reload_reads_the_files_again_and_keeps_the_old_one_if_it_can_not(directories, tmp_path):
    registry = AdapterRegistry(directories["base"], Placement(device="cpu"))
    copy = tmp_path / "adapter"
    shutil.copytree(directories["first"], copy)
    registry.load("mine", copy)
    scorer = registry.scorer("mine")
    old = values(scorer, QUERY, PASSAGES)
    file = copy / "adapter_model.safetensors"
    tensors = load_file(file)
    save_file({key: tensor * 2 if "score" in key else tensor for key, tensor in tensors.items()}, file)
    assert values(scorer, QUERY, PASSAGES) == old
    registry.reload("mine")
    assert values(scorer, QUERY, PASSAGES) == pytest.approx([2 * value for value in old])
    save_file({key: tensor for key, tensor in tensors.items() if "score" not in key}, file)
    with pytest.raises(ModelError, match=r"lacks the weights score\.weight"):
        registry.reload("mine")
    assert values(scorer, QUERY, PASSAGES) == pytest.approx([2 * value for value in old])


def test_a_misfit_is_refused_with_its_reason(registry, tiny_models, tmp_path):
    _, wider = tiny_models.build_tiny_llama(tmp_path, hidden_size=32)
    with pytest.raises(AdapterMismatch, match=r"'the base': .* reads 128 values, the adapter 64"):
        registry.load("wider", wider)
    with pytest.raises(ModelNotFound, match="No adapter 'wider'"):
        registry.scorer("wider")


def test_an_adapter_that_is_more_than_factors_is_refused(registry, directories, tiny_models, tmp_path):
    dora = tiny_models.build_adapter(directories["base"], tmp_path / "dora", use_dora=True)
    with pytest.raises(ModelError, match="the adapter sets use_dora"):
        registry.load("dora", dora)


def test_a_base_that_is_no_decoder_is_refused(tiny_bert):
    with pytest.raises(ConfigurationError, match="it is a bert, which is none of llama"):
        AdapterRegistry(tiny_bert, Placement(device="cpu"))


def test_a_manifest_beside_an_adapter_is_that_adapters_alone(registry, directories, tmp_path):
    copy = tmp_path / "adapter"
    shutil.copytree(directories["first"], copy)
    write_manifest(Manifest(pooling="last_slot"), copy)
    registry.load("slot", copy)
    before = score(registry, "first")
    slot = score(registry, "slot")
    assert slot == pytest.approx(values(load_scorer(str(copy), device="cpu"), QUERY, PASSAGES), abs=1e-5)
    assert slot != pytest.approx(before, abs=1e-3)
    assert score(registry, "first") == before


def test_threads_that_score_with_different_adapters_get_their_own_scores(registry, directories):
    right = {name: score(registry, name) for name in ("first", "second")}
    names = ["first", "second"] * 12
    with ThreadPoolExecutor(6) as pool:
        loading = [pool.submit(registry.load, "third", directories["third"]) for _ in range(3)]
        found = list(pool.map(lambda name: score(registry, name), names))
    assert [future.result() for future in loading] == [None] * 3
    assert found == [right[name] for name in names]


def test_loading_stalls_nobody(registry, directories, monkeypatch):
    right, reading, go = score(registry, "first"), threading.Event(), threading.Event()

    def slow(*args, **kwargs):
        reading.set()
        assert go.wait(60)
        return read(*args, **kwargs)

    read = module.read_lora
    monkeypatch.setattr(module, "read_lora", slow)
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(registry.load, "third", directories["third"])
        assert reading.wait(60)
        assert score(registry, "first") == right
        assert not loading.done()
        go.set()
        loading.result(60)
        registry.scorer("third")


def test_switching_to_a_merged_adapter_moves_no_weights(registry):
    registry.most_merged = 2
    first, second = registry.use("first"), registry.use("second")
    assert registry.use("first") is first
    assert registry.use("second") is second
    assert first.embeddings is second.embeddings is registry.base.embeddings
