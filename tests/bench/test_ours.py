"""Which of our engines the bench offers, and how the one that stands for the product is loaded."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sidecar.bench import ours
from sidecar.core.errors import ConfigurationError


def subject(**changes):
    return SimpleNamespace(**{"shared": False, "asked": "auto", "dtype": "bfloat16", "device": "cpu"} | changes)


def test_a_shape_has_no_second_copy_of_what_auto_is():
    names = [offer.name for offer in ours.offers(subject(shared=True))]
    assert names == ["ours", "ours-transformers", "ours-openvino", "ours-card", "ours-eager"]
    assert "ours-packed" in [offer.name for offer in ours.offers(subject())]


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
