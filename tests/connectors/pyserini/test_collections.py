"""BM25 over real collections, and over the demo's own."""

import json

import ir_measures
import pytest

from connectors.pyserini.build import build_index
from connectors.pyserini.index import LuceneIndex
from sidecar.core.corpus import read_corpus
from sidecar.demo_corpus import standard_library

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("jvm")]


# The given first stages of these folders (.6762, .3517) are of another BM25, which drops words of one character.
@pytest.mark.data
@pytest.mark.parametrize(
    ("qrels_path", "documents", "expected"),
    [
        ("cranfield/qrels.tsv", (1398, 2), 0.3510),
        pytest.param("scifact/qrels.test.tsv", (5183, 0), 0.6677, marks=pytest.mark.soak),
    ],
)
def test_bm25_of_real_collections(tmp_path, judged, qrels_path, documents, expected):
    folder = (judged / qrels_path).parent
    report = build_index(read_corpus(folder / "corpus.jsonl.gz"), tmp_path / "index")
    assert (report.indexed, report.empty) == documents
    rows = [line.split("\t") for line in (judged / qrels_path).read_text().splitlines()[1:]]
    qrels = [ir_measures.Qrel(qid, docid, int(grade)) for qid, docid, grade in rows]
    judged_qids = {qrel.query_id for qrel in qrels}
    lines = (folder / "queries.jsonl").read_text().splitlines()
    queries = {query["_id"]: query["text"] for query in map(json.loads, lines) if query["_id"] in judged_qids}
    with LuceneIndex(tmp_path / "index") as index:
        found = index.batch_search(list(queries.values()), list(queries), k=100, threads=2)
    run = [ir_measures.ScoredDoc(qid, hit.docid, hit.score) for qid, hits in found.items() for hit in hits]
    measured = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], qrels, run)
    assert measured[ir_measures.nDCG @ 10] == pytest.approx(expected, abs=5e-4)


@pytest.fixture(scope="module")
def documentation(jvm, tmp_path_factory):
    del jvm
    directory = tmp_path_factory.mktemp("indexes") / "documentation"
    build_index(standard_library(), directory)
    return directory


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("start a function some seconds later", "threading.Timer"),
        ("ask for a password without showing what is typed", "getpass.getpass"),
        ("show a web page to the user", "webbrowser"),
    ],
)
def test_the_demo_s_answers_are_in_the_window_but_not_on_top(documentation, question, wanted):
    with LuceneIndex(documentation) as index:
        docids = [hit.docid for hit in index.search(question, 100)]
    assert 1 < docids.index(wanted) + 1 <= 100
