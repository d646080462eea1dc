import json

import pytest

from connectors.pyserini import LuceneIndex, Rm3
from connectors.pyserini.build import build_index
from sidecar.core.corpus import read_corpus
from sidecar.core.errors import ConfigurationError

live = pytest.mark.live


@pytest.mark.parametrize(("terms", "docs", "weight"), [(0, 10, 0.5), (10, 0, 0.5), (10, 10, -0.1), (10, 10, 1.1)])
def test_parameters_out_of_range(terms, docs, weight):
    with pytest.raises(ConfigurationError, match=f"^RM3 with {terms} terms of {docs} documents"):
        Rm3(terms, docs, weight)


def seen(hits):
    return [(hit.docid, hit.score) for hit in hits]


@live
@pytest.mark.data
@pytest.mark.parametrize("rm3", [Rm3(), Rm3(fb_terms=20, fb_docs=5, original_query_weight=0.8)])
def test_anserini_s_rm3_on_a_real_collection(tmp_path_factory, judged, jvm, rm3):
    directory = tmp_path_factory.getbasetemp() / "cranfield-for-rm3"
    if not directory.exists():
        build_index(read_corpus(judged / "cranfield" / "corpus.jsonl.gz"), directory)
    lines = (judged / "cranfield" / "queries.jsonl").read_text().splitlines()[:40]
    queries = [json.loads(line)["text"] for line in lines]
    anserini = jvm("io.anserini.search.SimpleSearcher")(str(directory))
    anserini.set_bm25(0.9, 0.4)
    anserini.set_rm3(rm3.fb_terms, rm3.fb_docs, rm3.original_query_weight)
    with LuceneIndex(directory) as bm25, LuceneIndex(directory, rm3=rm3) as widened:
        found = {query: widened.search(query, 50) for query in queries}
        assert {query: seen(hits) for query, hits in found.items()} == {
            query: seen(anserini.search(query, 50)) for query in queries
        }
        differing = sum(seen(found[query]) != seen(bm25.search(query, 50)) for query in queries)
        assert differing == len(queries)
        assert widened.batch_search(queries, queries, 50, threads=2) == found


DOCUMENTS = {
    "JsonCollection": [{"id": "d1", "contents": "dog cat cat"}, {"id": "d2", "contents": "cat cat mouse"}],
    "BeirFlatCollection": [
        {"_id": "d1", "title": "", "text": "dog cat cat"},
        {"_id": "d2", "title": "", "text": "cat cat mouse"},
    ],
    "MsMarcoV2PassageCollection": [{"pid": "d1", "passage": "dog cat cat"}, {"pid": "d2", "passage": "cat cat mouse"}],
}


# RM3 takes no word that is in more than a tenth of all documents.
OTHERS = {
    "JsonCollection": lambda name: {"id": name, "contents": name},
    "BeirFlatCollection": lambda name: {"_id": name, "title": "", "text": name},
    "MsMarcoV2PassageCollection": lambda name: {"pid": name, "passage": name},
}


@live
@pytest.mark.parametrize("collection", DOCUMENTS)
@pytest.mark.parametrize("options", [("-storeRaw",), ("-storeDocvectors",)])
def test_words_come_from_term_vectors_or_from_the_stored_documents(anserini_index, collection, options):
    documents = DOCUMENTS[collection] + [OTHERS[collection](f"other{i}") for i in range(30)]
    directory = anserini_index(collection, documents, *options)
    with LuceneIndex(directory) as bm25, LuceneIndex(directory, rm3=Rm3()) as widened:
        assert [hit.docid for hit in bm25.search("dog")] == ["d1"]
        # "cat" is in the feedback document, and so finds the other.
        assert [hit.docid for hit in widened.search("dog")] == ["d1", "d2"]


@live
def test_an_index_that_stores_neither(anserini_index):
    directory = anserini_index("JsonCollection", DOCUMENTS["JsonCollection"])
    with LuceneIndex(directory) as bm25:
        assert len(bm25.search("dog")) == 1
    with pytest.raises(ConfigurationError, match="RM3 needs term vectors, or documents it can read") as error:
        LuceneIndex(directory, rm3=Rm3())
    assert "-storeDocvectors" in error.value.remedy


@live
def test_a_query_that_finds_nothing(animals):
    with LuceneIndex(animals, rm3=Rm3()) as index:
        assert index.search("zebra") == []
        assert index.search("the of and") == []
        assert len(index.search("漢字")) == 1
