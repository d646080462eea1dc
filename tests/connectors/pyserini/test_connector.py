import math
from dataclasses import dataclass

import pytest

from connectors.pyserini.connector import LuceneRequest, PyseriniConnector, tail_scores
from connectors.pyserini.hits import LuceneHit, RerankedHit
from sidecar.core.candidates import Candidate, Connector, Passage
from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.core.relevance_cut import keep_relevant
from sidecar.scoring.score_mapping import Mapping


def answer(searcher, reranker, request, fields=None):
    connector: Connector = PyseriniConnector(searcher, fields)
    first_stage = connector.fetch(request)
    return connector.respond(first_stage, reranker.rank_candidates(first_stage.query, first_stage.candidates))


@pytest.mark.parametrize(("hits", "window", "depth"), [(10, 100, 100), (100, 10, 100), (5, 5, 5)])
def test_as_many_are_fetched_as_either_needs(list_searcher, lucene_hits, hits, window, depth):
    searcher = list_searcher(lucene_hits("a", "b"))
    PyseriniConnector(searcher).fetch(LuceneRequest("q", hits, window))
    assert searcher.asked == [("q", depth)]


def test_the_window_becomes_candidates_and_the_rest_is_kept(list_searcher, lucene_hits):
    hits = lucene_hits("a", '{"title": "T", "text": "b"}', "c")
    first_stage = PyseriniConnector(list_searcher(hits)).fetch(LuceneRequest("q", hits=3, window=2))
    assert first_stage.query == "q"
    assert first_stage.skipped is None
    assert first_stage.candidates == [
        Candidate("d1", 1, 10.0, Passage("", "a")),
        Candidate("d2", 2, 9.0, Passage("T", "b")),
    ]
    assert first_stage.native.hits == tuple(hits)


def test_a_searcher_that_gives_more_than_asked_is_cut(list_searcher, lucene_hits):
    searcher = list_searcher(lucene_hits(*"abcdef"))
    searcher.search = lambda query, k=10: searcher.hits
    assert len(PyseriniConnector(searcher).fetch(LuceneRequest("q", hits=2, window=3)).native.hits) == 3


def test_the_final_order_written_out(list_searcher, lucene_hits, table_reranker):
    # d2 has no text, d5 and d6 lie beyond the window; the lowest score of the model is -2.5.
    searcher = list_searcher(lucene_hits("a", "", "c", "d", "e", "f"))
    reranker = table_reranker({"a": -2.5, "c": 4.0, "d": 0.5, "e": 99.0})
    assert answer(searcher, reranker, LuceneRequest("q", hits=6, window=4)) == [
        RerankedHit("d3", 4.0, 103, "c", 8.0, 3, 4.0),
        RerankedHit("d4", 0.5, 104, "d", 7.0, 4, 0.5),
        RerankedHit("d1", -2.5, 101, "a", 10.0, 1, -2.5),
        RerankedHit("d2", -3.5, 102, "", 9.0, 2, None),
        RerankedHit("d5", -4.5, 105, "e", 6.0, 5, None),
        RerankedHit("d6", -5.5, 106, "f", 5.0, 6, None),
    ]


def test_only_the_hits_asked_for_are_returned(list_searcher, lucene_hits, table_reranker):
    searcher = list_searcher(lucene_hits("a", "b", "c"))
    reranker = table_reranker({"a": 1.0, "b": 2.0, "c": 3.0})
    assert [hit.docid for hit in answer(searcher, reranker, LuceneRequest("q", hits=2))] == ["d3", "d2"]


def test_where_nothing_is_scored_lucene_has_its_say(list_searcher, lucene_hits, table_reranker):
    searcher = list_searcher(lucene_hits("a", "", "c"))
    assert answer(searcher, table_reranker({}), LuceneRequest("q", hits=3, window=2)) == [
        RerankedHit("d1", 10.0, 101, "a", 10.0, 1, None),
        RerankedHit("d2", 9.0, 102, "", 9.0, 2, None),
        RerankedHit("d3", 8.0, 103, "c", 8.0, 3, None),
    ]


def test_no_hits_give_no_hits(list_searcher, table_reranker):
    assert answer(list_searcher([]), table_reranker({"a": 1.0}), LuceneRequest("q")) == []


def test_two_hits_of_one_docid_stay_two(list_searcher, table_reranker):
    hits = [LuceneHit("d", 2.0, 1, "a"), LuceneHit("d", 1.0, 2, "b")]
    found = answer(list_searcher(hits), table_reranker({"a": 1.0, "b": 2.0}), LuceneRequest("q"))
    assert [(hit.docid, hit.lucene_docid, hit.score) for hit in found] == [("d", 2, 2.0), ("d", 1, 1.0)]


def test_fields_of_ones_own(list_searcher, lucene_hits):
    searcher = list_searcher(lucene_hits('{"name": "N", "abstract": "A", "text": "x"}'))
    connector = PyseriniConnector(searcher, PassageFields(title=("name",), text=("abstract",)))
    assert connector.fetch(LuceneRequest("q")).candidates[0].passage == Passage("N", "A")


@pytest.mark.parametrize(("query", "hits", "window"), [("", 10, 100), (" \n", 10, 100), ("q", 0, 100), ("q", 10, 0)])
def test_requests_that_make_no_sense_are_refused(query, hits, window):
    with pytest.raises(InputError):
        LuceneRequest(query, hits, window)


@dataclass
class StoredDocument:
    """A fake of Lucene's Document (`get`) and of Pyserini's (`raw()`, `contents()`) in one."""

    fields: dict

    def get(self, name):
        return self.fields.get(name)

    def raw(self):
        return self.fields.get("raw")

    def contents(self):
        return self.fields.get("contents")


@dataclass
class ScoredDoc:
    docid: str
    score: float
    lucene_docid: int
    lucene_document: StoredDocument | None


@dataclass
class BareHit:
    docid: str
    score: float


def test_hits_of_pyserinis_searchers_are_taken_as_they_are(list_searcher):
    searcher = list_searcher(
        [
            ScoredDoc("d1", 2.5, 7, StoredDocument({"raw": '{"id": "d1", "contents": "a"}'})),
            ScoredDoc("d2", 1.5, 8, StoredDocument({"contents": "b"})),
        ]
    )
    assert PyseriniConnector(searcher).fetch(LuceneRequest("q")).native.hits == (
        LuceneHit("d1", 2.5, 7, '{"id": "d1", "contents": "a"}', None),
        LuceneHit("d2", 1.5, 8, None, "b"),
    )


def test_a_hit_without_its_document_is_looked_up(list_searcher):
    searcher = list_searcher([BareHit("d1", 2.5), BareHit("gone", 1.0)])
    searcher.doc = {"d1": StoredDocument({"raw": "a"})}.get
    assert PyseriniConnector(searcher).fetch(LuceneRequest("q")).native.hits == (
        LuceneHit("d1", 2.5, -1, "a", None),
        LuceneHit("gone", 1.0, -1, None, None),
    )


def test_a_hit_that_can_not_be_looked_up_has_no_text(list_searcher):
    [candidate] = PyseriniConnector(list_searcher([BareHit("d1", 2.5)])).fetch(LuceneRequest("q")).candidates
    assert candidate.passage.is_empty


@pytest.mark.parametrize(
    ("lowest", "count", "expected"),
    [
        (-2.5, 3, [-3.5, -4.5, -5.5]),
        (0.25, 2, [-0.75, -1.75]),
        (7.0, 0, []),
        (1e17, 2, [1e17 - 16, 1e17 - 32]),
        (-1e17, 1, [-1e17 - 16]),
    ],
)
def test_the_tail_falls_from_the_lowest(lowest, count, expected):
    assert tail_scores(lowest, count) == expected


def test_the_tail_of_the_lowest_float_is_still_below_it():
    [below] = tail_scores(-1.7976931348623157e308, 1)
    assert below == -math.inf


def test_nothing_follows_a_ranking_that_was_cut(list_searcher, lucene_hits, table_reranker):
    connector = PyseriniConnector(list_searcher(lucene_hits("a", "", "c", "d")))
    first_stage = connector.fetch(LuceneRequest("q", hits=4, window=3))
    ranking = table_reranker({"a": -1.0, "c": 4.0}).rank_candidates("q", first_stage.candidates)
    kept = keep_relevant(ranking, 0.5, Mapping(calibrated=True))
    assert [(hit.docid, hit.score) for hit in connector.respond(first_stage, kept)] == [("d3", 4.0)]
    assert connector.respond(first_stage, keep_relevant(ranking, 1.0, Mapping(calibrated=True))) == []
