"""Which of our engines the bench offers, and how the one that stands for the product is loaded."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sidecar.bench import ours
from sidecar.core.errors import ConfigurationError


def subject(**changes):
    return SimpleNamespace(
        **{"shared": False, "asked": "auto", "dtype": "bfloat16", "device": "cpu", "quantization": "none"} | changes
    )


def test_a_shape_has_no_second_copy_of_what_auto_is():
    names = [offer.name for offer in ours.offers(subject(shared=True))]
    assert names == ["ours", "ours-transformers", "ours-openvino", "ours-card", "ours-eager"]
    assert "ours-packed" in [offer.name for offer in ours.offers(subject())]


def test_quantised_weights_are_one_more_system_of_the_engine_that_has_them():
    assert ours.modes("auto", "bfloat16", "fp8")["packed-fp8"] == ("packed", "bfloat16", "fp8")
    assert ours.modes("auto", "float32", "8bit")["transformers-8bit"] == ("transformers", "float32", "8bit")
    plain = ours.modes("auto", "float32")
    assert {mode.quantization for mode in plain.values()} == {"none"}
    assert plain.items() <= ours.modes("auto", "float32", "8bit").items()


@pytest.mark.parametrize(("compiles", "expected"), [(True, "before"), (False, "never")])
def test_fp8_is_offered_for_a_shape_too_and_compiled_like_ours(monkeypatch, compiles, expected):
    asked = {}

    def load(_, **options):
        asked.update(options)
        raise ConfigurationError("enough")

    monkeypatch.setattr(ours, "_compiles", lambda _: compiles)
    monkeypatch.setattr(ours, "load_scorer", load)
    [offer] = [one for one in ours.offers(subject(shared=True, quantization="fp8")) if one.name == "ours-packed-fp8"]
    with pytest.raises(ConfigurationError, match="enough"):
        offer.load(subject(shared=True, directory="somewhere"))
    assert asked.items() >= {"engine": "packed", "quantization": "fp8", "compile": expected}.items()


def test_quantised_weights_are_never_borrowed_from_the_shared_ones(monkeypatch):
    monkeypatch.setattr(ours, "load_scorer", lambda directory, **options: (directory, options["quantization"]))
    shared = subject(shared=True, directory="somewhere")
    assert ours.scorer(shared, "transformers", dtype="float32", quantization="8bit") == ("somewhere", "8bit")


@pytest.mark.parametrize(("compiles", "expected"), [(True, "before"), (False, "never")])
def test_ours_is_compiled_where_the_service_compiles(monkeypatch, compiles, expected):
    asked = {}
    monkeypatch.setattr(ours, "_compiles", lambda _: compiles)
    monkeypatch.setattr(ours, "load_scorer", lambda _, **options: asked.update(options))
    ours.automatic(subject(directory="somewhere"))
    assert (asked["engine"], asked["compile"]) == ("auto", expected)


def test_eager_is_left_out_where_nothing_is_compiled():
    eager = ours.offers(subject())[-1]
    with pytest.raises(ConfigurationError, match="same as ours"):
        eager.load(subject())
