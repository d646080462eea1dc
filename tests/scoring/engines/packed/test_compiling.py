"""Steps compiled in the background: who serves when, and that one compilation serves any number of rows."""

from __future__ import annotations

import threading

import pytest

from sidecar.core.candidates import Passage
from sidecar.scoring.cross_encoder import CrossEncoder
from sidecar.scoring.engines.packed.block import steps_of
from sidecar.scoring.engines.packed.compiling import CompiledSteps, pays
from sidecar.scoring.loading import load_scorer
from tests.support.models.tiny_zoo import build_base
from tests.support.models.values import values

PASSAGES = [Passage("", "word " * length) for length in range(1, 30, 4)]


class Backend:
    """Compiles to what it was given, counts, and waits until it is let."""

    def __init__(self, error=None):
        self.error = error
        self.graphs = 0
        self.go = threading.Event()

    def __call__(self, graph, inputs):
        self.graphs += 1
        assert self.go.wait(60)
        if self.error is not None:
            raise self.error
        return graph.forward


@pytest.fixture(scope="module", params=["llama", "gemma3_text"])
def scorer(request, tmp_path_factory):
    directory = build_base(request.param, tmp_path_factory.mktemp("base"))
    return load_scorer(str(directory), device="cpu", engine="packed")


def compiled(scorer, backend):
    engine = CrossEncoder(scorer.checkpoint).engine
    engine.compiled = CompiledSteps(steps_of(engine.decoder), engine.decoder, backend=backend)
    return CrossEncoder(scorer.checkpoint, engine=engine)


def test_plain_steps_serve_until_the_compiled_ones_are_ready_and_then_for_any_number_of_rows(scorer):
    backend = Backend()
    ours = compiled(scorer, backend)
    plain = ours.engine.compiled.steps
    expected = values(scorer, "a query", PASSAGES)
    assert values(ours, "a query", PASSAGES) == expected
    backend.go.set()
    ours.engine.compiled.wait()
    assert ours.engine.compiled.steps is not plain
    for count in range(1, len(PASSAGES) + 1):
        assert values(ours, "a query", PASSAGES[:count]) == pytest.approx(expected[:count], abs=1e-5)
    assert backend.graphs == 2


def test_a_compiler_that_fails_is_told_of_once_and_scoring_goes_on(scorer, caplog):
    backend = Backend(RuntimeError("no C++ compiler"))
    backend.go.set()
    ours = compiled(scorer, backend)
    ours.engine.compiled.wait()
    assert values(ours, "a query", PASSAGES) == values(scorer, "a query", PASSAGES)
    [record] = [record for record in caplog.records if record.name.startswith("sidecar.")]
    assert record.levelname == "WARNING"
    assert "no C++ compiler" in record.message


@pytest.mark.parametrize(
    ("mode", "pays", "expected"),
    [
        ("never", True, []),
        ("before", False, ["compiled", "waited for"]),
        ("meanwhile", False, ["compiled"]),
        ("auto", False, []),
        ("auto", True, ["compiled"]),
    ],
)
def test_when_it_is_compiled(tiny_llama, monkeypatch, mode, pays, expected):
    seen = []

    class Compiled:
        def __init__(self, *_):
            seen.append("compiled")

        def wait(self):
            seen.append("waited for")

    monkeypatch.setattr("sidecar.scoring.engines.packed.compiling.CompiledSteps", Compiled)
    monkeypatch.setattr("sidecar.scoring.engines.packed.compiling.pays", lambda _: pays)
    load_scorer(str(tiny_llama[1]), device="cpu", engine="packed", compile=mode)
    assert seen == expected


def test_compiling_pays_on_a_gpu_beside_a_compiler_alone(monkeypatch):
    monkeypatch.setenv("CC", "a-compiler")
    assert pays("cuda")
    assert not pays("cpu")
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", "")
    assert not pays("cuda")
