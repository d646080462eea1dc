"""Models of one process: adapters of one base share it, the rest stand alone, and all score as if loaded alone."""

from __future__ import annotations

import shutil

import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import load_file, save_file

from sidecar.core.candidates import Passage
from sidecar.core.errors import AdapterMismatch, ModelError, NonFiniteScore
from sidecar.core.model_spec import Chunking, ModelSpec
from sidecar.scoring.checkpoints.manifest import Beside, Manifest, write_manifest
from sidecar.scoring.loading import load, load_scorer
from sidecar.scoring.model_registry import ModelRegistry
from tests.support.models.values import values

QUERY = "which passage holds the words"
PASSAGES = [Passage("", "word " * length) for length in (1, 9, 300)]


@pytest.fixture(scope="module")
def adapters(tiny_llama, tiny_models, tmp_path_factory):
    second = tiny_models.build_adapter(tiny_llama[0], tmp_path_factory.mktemp("second") / "adapter", seed=8)
    return str(tiny_llama[1]), str(second)


def test_adapters_of_one_base_share_it_and_score_as_if_alone(adapters, tiny_bert):
    first, second = adapters
    models = {
        "first": ModelSpec(model=first, device="cpu"),
        "second": ModelSpec(model=second, device="cpu", max_length=40),
        "chunked": ModelSpec(model=second, device="cpu", chunking=Chunking(tokens=20, overlap=4)),
        "slow": ModelSpec(model=first, device="cpu", engine="transformers"),
        "bert": ModelSpec(model=str(tiny_bert), device="cpu"),
    }
    registry = ModelRegistry(models, merged=1).scorers
    assert list(registry) == list(models)
    for name, spec in models.items():
        assert values(registry[name], QUERY, PASSAGES) == values(load(spec), QUERY, PASSAGES), name
    shared = registry["first"].checkpoint.model
    assert registry["second"].checkpoint.model is shared
    assert registry["chunked"].scorer.checkpoint.model is shared
    assert registry["slow"].engine_name == "transformers"


def test_an_adapter_alone_is_loaded_by_itself(adapters):
    [scorer] = ModelRegistry({"one": ModelSpec(model=adapters[0], device="cpu")}).scorers.values()
    assert scorer.name == adapters[0]


def test_one_that_does_not_fit_the_base_is_refused(adapters, tiny_models, tmp_path):
    other, _ = tiny_models.build_tiny_llama(tmp_path, hidden_size=32)
    models = {name: ModelSpec(model=path, base_model=str(other)) for name, path in zip("ab", adapters, strict=True)}
    with pytest.raises(AdapterMismatch):
        ModelRegistry(models)


@pytest.fixture
def copies(adapters, tmp_path):
    for name, source in zip("ab", adapters, strict=True):
        shutil.copytree(source, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("shared", [True, False])
def test_a_model_is_read_anew_and_the_others_stay(adapters, copies, shared):
    models = {name: ModelSpec(model=str(copies / name), device="cpu") for name in "ab"}
    if not shared:
        models["b"] = replace(models["b"], dtype="bfloat16")
    registry = ModelRegistry(models)
    before = {name: values(scorer, QUERY, PASSAGES) for name, scorer in registry.scorers.items()}
    new = load_scorer(adapters[1], device="cpu")
    shutil.copytree(adapters[1], copies / "a", dirs_exist_ok=True)
    assert values(registry.scorers["a"], QUERY, PASSAGES) == before["a"]
    assert registry.reload("a") is registry.scorers["a"]
    assert values(registry.scorers["a"], QUERY, PASSAGES) == values(new, QUERY, PASSAGES) != before["a"]
    assert values(registry.scorers["b"], QUERY, PASSAGES) == before["b"]

    (copies / "a" / "adapter_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError):
        registry.reload("a")
    assert values(registry.scorers["a"], QUERY, PASSAGES) == values(new, QUERY, PASSAGES)


@pytest.mark.parametrize("shared", [True, False])
def test_a_model_that_gives_nan_is_never_put_in_place(copies, shared):
    models = {name: ModelSpec(model=str(copies / name), device="cpu") for name in "ab"}
    if not shared:
        models["b"] = replace(models["b"], dtype="bfloat16")
    registry = ModelRegistry(models)
    before = {name: values(scorer, QUERY, PASSAGES) for name, scorer in registry.scorers.items()}
    weights = copies / "a" / "adapter_model.safetensors"
    save_file({name: torch.full_like(one, torch.nan) for name, one in load_file(weights).items()}, weights)
    with pytest.raises(NonFiniteScore):
        registry.reload("a", lambda scorer: scorer.score(QUERY, PASSAGES))
    assert {name: values(scorer, QUERY, PASSAGES) for name, scorer in registry.scorers.items()} == before


def test_a_bi_encoder_beside_an_adapter_counts_on_a_shared_base_too(adapters, copies):
    write_manifest(Manifest(beside=Beside("e5-small", 3.0)), copies / "a")
    models = {name: ModelSpec(model=str(copies / name), device="cpu") for name in "ab"}
    registry = ModelRegistry(models)
    alone = values(load_scorer(adapters[0], device="cpu"), QUERY, PASSAGES)
    expected = values(load(models["a"]), QUERY, PASSAGES)
    assert values(registry.scorers["a"], QUERY, PASSAGES) == expected != alone
    registry.reload("a")
    assert values(registry.scorers["a"], QUERY, PASSAGES) == expected
    # An adapter gets one by a reload, and loses it by another.
    write_manifest(Manifest(beside=Beside("e5-small", 3.0)), copies / "b")
    registry.reload("b")
    assert values(registry.scorers["b"], QUERY, PASSAGES) == values(load(models["b"]), QUERY, PASSAGES)
    (copies / "b" / "sidecar.json").unlink()
    registry.reload("b")
    assert values(registry.scorers["b"], QUERY, PASSAGES) == values(
        load_scorer(adapters[1], device="cpu"), QUERY, PASSAGES
    )


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (Manifest(kind="bi-encoder", pooling="mean"), "says that it is a bi-encoder"),
        (Manifest(yes_token="yes"), "brings its own score head"),
        (Manifest(beside=Beside("tiny_bert", 1.0)), "is no bi-encoder"),
    ],
)
@pytest.mark.parametrize("shared", [True, False])
def test_a_manifest_that_no_adapter_has_is_refused_however_it_is_loaded(copies, tiny_bert, manifest, reason, shared):
    if manifest.beside is not None:
        manifest = replace(manifest, beside=Beside(str(tiny_bert), 1.0))
    write_manifest(manifest, copies / "a")
    names = "ab" if shared else "a"
    with pytest.raises(ModelError, match=reason):
        ModelRegistry({name: ModelSpec(model=str(copies / name), device="cpu") for name in names})
