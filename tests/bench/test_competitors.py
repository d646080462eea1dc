import sys
from types import SimpleNamespace

import pytest

from sidecar.bench import competitors
from sidecar.bench.competitors import rerankers_library
from sidecar.bench.system import LeftOut, Offer, System, load
from sidecar.core.errors import ConfigurationError
from tests.support.bench import FakeMemory, make_query

NAMES = {"card-helper-228", "card-helper-longest", "sentence-transformers", "sentence-transformers-onnx"}


def test_the_names_that_reports_are_read_by():
    names = [offer.name for offer in competitors.offers()]

    assert NAMES | {"sentence-transformers-openvino", "rerankers"} <= set(names)
    assert names[0] == "card-helper-228"


@pytest.mark.parametrize("error", [ImportError("No module named 'x'"), ConfigurationError("needs a GPU")])
def test_what_can_not_run_here_is_left_out_with_its_reason(error):
    def fail(subject):
        raise error

    found = load(Offer("other", "", fail), None, FakeMemory(), make_query("q", 2))

    assert isinstance(found, LeftOut)
    assert str(error) in found.reason


def test_an_error_of_ours_is_not_swallowed():
    def fail(subject):
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError):
        load(Offer("ours", "", fail), None, FakeMemory(), make_query("q", 2))


def test_a_competitor_that_breaks_is_left_out(monkeypatch):
    def fail(subject):
        raise RuntimeError("no kernel\nand a long story")

    monkeypatch.setattr(rerankers_library, "OFFERS", [Offer("rerankers", "", fail)])
    found = load(competitors.offers()[-1], None, FakeMemory(), make_query("q", 2))

    assert found == LeftOut("rerankers", "fails to load: RuntimeError: no kernel")


def test_memory_that_loading_takes_is_kept():
    class Growing(FakeMemory):
        def now(self):
            self._in_use += 5
            return self._in_use

    found = load(Offer("a", "", lambda subject: lambda query: []), None, Growing(), make_query("q", 2))

    assert isinstance(found, System)
    assert found.added == 5
    assert 0 < found.first_score < 5


def test_rerankers_results_come_back_in_the_order_given(monkeypatch, tmp_path):
    class Ranker:
        model = "its own"

        def rank(self, query, docs):
            found = [SimpleNamespace(doc_id=index, score=len(text)) for index, text in enumerate(docs)]
            return SimpleNamespace(results=sorted(found, key=lambda one: -one.score))

    monkeypatch.setitem(sys.modules, "rerankers", SimpleNamespace(Reranker=lambda *_, **__: Ranker()))
    subject = SimpleNamespace(foreign=tmp_path, device="cpu", dtype="float32", weights=lambda loaded: loaded)
    query = make_query("q", 9)

    assert rerankers_library.OFFERS[0].load(subject)(query) == [len(text) for text in query.documents]


def test_a_rerankers_without_its_backend_is_left_out(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "rerankers", SimpleNamespace(Reranker=lambda *_, **__: None))
    subject = SimpleNamespace(foreign=tmp_path, device="cpu", dtype="float32")

    assert isinstance(load(rerankers_library.OFFERS[0], subject, FakeMemory(), make_query("q", 2)), LeftOut)
