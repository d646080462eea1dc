"""Pyserini's own searchers, taken as one has set them up, in a process of their own: importing them takes 7 to 35 s."""

import json

import pytest

live = pytest.mark.live

SCRIPT = """
import json, sys, threading, warnings
warnings.simplefilter("ignore")
from connectors.pyserini import LuceneIndex, LuceneRequest, PyseriniConnector, RerankingSearcher, Rm3
from sidecar.core.candidates import Ranked, Ranking
from sidecar.core.errors import InputError
LuceneIndex({animals!r})
from pyserini.search.lucene import LuceneFusionSearcher, LuceneImpactSearcher, LuceneSearcher
from pyserini.fusion import FusionMethod

class Backwards:
    def rank_candidates(self, query, candidates):
        turned = list(reversed(candidates))
        hits = [Ranked(c, rank, -float(rank), -float(rank)) for rank, c in enumerate(turned, start=1)]
        return Ranking(query, tuple(hits), {{}})

class Words:
    def encode(self, text):
        return dict.fromkeys(text.split(), 1)

class OnlyIds:
    # What dense searchers give: hits with a docid and a score, and `doc` beside them.
    def __init__(self, searcher):
        self.searcher, self.doc = searcher, searcher.doc
    def search(self, query, k=10):
        return [type("Hit", (), {{"docid": hit.docid, "score": hit.score}}) for hit in self.searcher.search(query, k)]

def seen(searcher, query, other="zebra"):
    reranking = RerankingSearcher(searcher, Backwards())
    hits = reranking.search(query)
    batch = reranking.batch_search([query, other], ["1", "2"], threads=2)
    assert batch == {{"1": hits, "2": [] if other == "zebra" else reranking.search(other)}}, batch
    first = PyseriniConnector(searcher).fetch(LuceneRequest(query)).candidates
    return {{
        "hits": [[h.docid, h.score, h.lucene_docid, h.raw, h.first_stage_score, h.first_stage_rank] for h in hits],
        "texts": [c.passage.text for c in first],
    }}

def left_in_the_jvm(searcher, query):
    from jnius import autoclass
    running = autoclass("java.lang.Thread").activeCount
    connector, before = PyseriniConnector(searcher), running()
    for _ in range(12):
        thread = threading.Thread(target=connector.fetch, args=(LuceneRequest(query),))
        thread.start()
        thread.join()
    return running() - before

lucene = LuceneSearcher({animals!r})
lucene.set_bm25(1.2, 0.75)
widened = LuceneSearcher({cats!r})
widened.set_rm3()
impact = LuceneImpactSearcher({impact!r}, Words())
fusion = LuceneFusionSearcher([{animals!r}, {cats!r}], FusionMethod.RRF)
found = {{
    "LuceneSearcher": seen(lucene, "dogs"),
    "LuceneIndex": seen(LuceneIndex({animals!r}, k1=1.2, b=0.75), "dogs"),
    "RM3": seen(widened, "dog"),
    "our RM3": seen(LuceneIndex({cats!r}, rm3=Rm3()), "dog"),
    "impact": seen(impact, "dog cat"),
    # Pyserini's fusion raises ValueError where one of its indexes finds nothing.
    "fusion": seen(fusion, "dog", "dog cat"),
    "only ids": seen(OnlyIds(lucene), "dogs"),
    "left": [left_in_the_jvm(one, "dog") for one in (lucene, widened, impact, fusion)],
}}
try:
    PyseriniConnector(lucene).fetch(LuceneRequest(" ".join(f"w{{i}}" for i in range(10_000))))
except InputError as error:
    found["too long"] = error.message
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(jvm, fresh_python_for, without_network, animals, anserini_index_in, tmp_path_factory):
    folder = tmp_path_factory.mktemp("searchers")
    cats = [{"id": "one", "contents": "dog cat cat"}, {"id": "two", "contents": "cat cat mouse"}]
    cats += [{"id": f"other{i}", "contents": f"other{i}"} for i in range(30)]
    words = [
        {"id": "a", "contents": "the text of a", "vector": {"dog": 3, "cat": 1}},
        {"id": "b", "contents": "the text of b", "vector": {"dog": 1, "cat": 7}},
        {"id": "c", "contents": "the text of c", "vector": {"mouse": 9}},
    ]
    indexes = {
        "animals": str(animals),
        "cats": str(anserini_index_in(folder / "cats", "JsonCollection", cats, "-storeRaw", "-storeDocvectors")),
        "impact": str(
            anserini_index_in(folder / "impact", "JsonVectorCollection", words, "-storeRaw", "-impact", "-pretokenized")
        ),
    }
    # pyserini 1.6 asks for an OpenAI key when this is imported, and uses none.
    done = fresh_python_for(folder)(without_network + SCRIPT.format(**indexes), OPENAI_API_KEY="not-used")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@live
def test_a_lucene_searcher_gives_what_our_index_gives(found):
    theirs = found["LuceneSearcher"]
    assert [row[0] for row in theirs["hits"]] == ["fox", "cat", "dog"]
    assert [row[1] for row in theirs["hits"]] == [-1.0, -2.0, -3.0]
    assert [row[5] for row in theirs["hits"]] == [3, 2, 1]
    assert theirs == found["LuceneIndex"]


@live
def test_rm3_set_on_a_searcher_stays_set(found):
    assert [row[0] for row in found["RM3"]["hits"]] == ["two", "one"]
    assert found["RM3"] == found["our RM3"]


@live
def test_an_impact_searcher_with_an_encoder_of_ones_own(found):
    # b: 1 + 7, a: 3 + 1; the reranker turns them round.
    assert [(row[0], row[4], row[5]) for row in found["impact"]["hits"]] == [("a", 4.0, 2), ("b", 8.0, 1)]
    assert found["impact"]["texts"] == ["the text of b", "the text of a"]


@live
def test_a_fusion_searcher(found):
    # Reciprocal ranks over two indexes without a common document: "dog" and "one" are first, 1 / 61 each.
    hits = {row[0]: row[4] for row in found["fusion"]["hits"]}
    assert hits == {
        "dog": pytest.approx(1 / 61),
        "one": pytest.approx(1 / 61),
        "cat": pytest.approx(1 / 62),
        "fox": pytest.approx(1 / 63),
    }
    assert sorted(found["fusion"]["texts"])[:2] == ["A cat watches a dog and another dog.", "A dog sleeps."]


@live
def test_hits_that_are_ids_alone_are_looked_up(found):
    assert found["only ids"]["texts"] == found["LuceneSearcher"]["texts"]
    assert [row[3] for row in found["only ids"]["hits"]] == [row[3] for row in found["LuceneSearcher"]["hits"]]


@live
def test_the_jvm_forgets_threads_that_end(found):
    assert found["left"] == [0, 0, 0, 0]


@live
def test_a_query_of_too_many_words_is_no_traceback(found):
    assert "more than 1024 different words" in found["too long"]
