"""The middle of a long run: what is reranked, what follows, what is warned of, and memory that does not grow."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace

import pytest

from sidecar.core.candidates import Candidate, Cut, Passage, Ranked, Ranking
from sidecar.core.documents import PassageFields
from sidecar.experiments.candidate_lists import CandidateList
from sidecar.experiments.journal import Journal
from sidecar.experiments.publish import publish
from sidecar.experiments.rerank_lists import Depth, TextWatch, rerank_lists, with_the_rest
from sidecar.experiments.run_files import RunFormat
from sidecar.experiments.run_reading import read_run


class Backwards:
    """Puts the candidates in reverse order; the last one gets the score n, the first 1."""

    def rank_candidates(self, query, candidates):
        hits = [
            Ranked(candidate, rank, float(candidate.rank), float(candidate.rank))
            for rank, candidate in enumerate(reversed(candidates), start=1)
        ]
        return Ranking(query, tuple(hits), {})

    def rank_all(self, asked):
        return ((key, self.rank_candidates(query, candidates)) for key, query, candidates in asked)


def found(qid: str, *texts: str) -> CandidateList:
    candidates = [Candidate(f"d{n}", n, 100.0 - n, Passage("", text)) for n, text in enumerate(texts, start=1)]
    return CandidateList(qid, "query", candidates, [json.dumps({"headline": text}).encode() for text in texts])


def test_what_lies_beyond_the_window_follows():
    candidates = found("q", "a", "b", "c", "d").candidates
    ranking = with_the_rest(Backwards().rank_candidates("query", candidates[:2]), candidates)
    assert [(hit.candidate.docid, hit.rank, hit.score) for hit in ranking.hits] == [
        ("d2", 1, 2.0),
        ("d1", 2, 1.0),
        ("d3", 3, None),
        ("d4", 4, None),
    ]


def test_finished_queries_are_left_alone_and_hits_are_cut(tmp_path):
    finished = []
    with Journal(tmp_path / "run", {}, resume=False) as journal:
        journal.add("q1", b'{"kept": 1}')
        lists = [found("q1", "a"), found("q2", "a", "b", "c")]
        rerank_lists(lists, Backwards(), journal, Depth(window=100, hits=2), finished=finished.append)
        first, second = journal.lines()
    assert first == b'{"kept": 1}'
    assert [(hit["docid"], hit["score"]) for hit in json.loads(second)["candidates"]] == [("d3", 3.0), ("d2", 2.0)]
    assert [ranking.scored for ranking in finished] == [3]


@pytest.mark.parametrize("run_format", [RunFormat.TREC, RunFormat.JSONL])
def test_the_first_stages_run_has_its_own_hits_where_the_window_is_deeper(tmp_path, run_format):
    # Evaluated beside the run, other hits would be the quality of a first stage that nobody has.
    documents = run_format is RunFormat.JSONL
    depth = Depth(window=100, hits=2, documents=documents, first_stage=True)
    lists = [found("q1", "a", "b", "c", "d"), found("q2", "a", "b")]
    with Journal(tmp_path / "run", {}, resume=False) as journal:
        rerank_lists(lists, Backwards(), journal, depth)
        publish(journal, tmp_path / "run", run_format, "tag", first_stage_output=tmp_path / "first")
    assert {qid: list(hits) for qid, hits in read_run(tmp_path / "run").items()} == {
        "q1": ["d4", "d3"],
        "q2": ["d2", "d1"],
    }
    assert read_run(tmp_path / "first") == {"q1": {"d1": 99.0, "d2": 98.0}, "q2": {"d1": 99.0, "d2": 98.0}}
    if documents:
        first, run = (json.loads((tmp_path / name).read_text().splitlines()[0]) for name in ("first", "run"))
        assert [hit["doc"] for hit in first["candidates"]] == [{"headline": "a"}, {"headline": "b"}]
        assert [hit["doc"] for hit in run["candidates"]] == [{"headline": "d"}, {"headline": "c"}]
        assert run.keys() == {"query", "candidates"}


def test_the_first_stages_run_has_the_hits_that_a_threshold_leaves_out(tmp_path):
    class Strict(Backwards):
        """Leaves out all hits but the last one of the first stage."""

        def rank_candidates(self, query, candidates):
            ranking = super().rank_candidates(query, candidates)
            return replace(ranking, hits=ranking.hits[:1], cut=Cut(0.5, len(candidates) - 1, 0))

    with Journal(tmp_path / "run", {}, resume=False) as journal:
        rerank_lists([found("q1", "a", "b", "c", "d")], Strict(), journal, Depth(3, hits=10, first_stage=True))
        publish(journal, tmp_path / "run", RunFormat.TREC, "tag", first_stage_output=tmp_path / "first")
    assert list(read_run(tmp_path / "run")["q1"]) == ["d3"]
    assert list(read_run(tmp_path / "first")["q1"]) == ["d1", "d2", "d3", "d4"]


def test_a_window_without_text_is_warned_of_once():
    said = []
    watch = TextWatch(PassageFields(), 2, said.append)
    lists = [found("q1", "a", ""), found("q2"), found("q3", "", " ", "beyond"), found("q4", "", "")]
    assert list(watch(lists)) == lists
    assert (watch.empty, watch.unreadable) == (1 + 2 + 2, 2)
    (warning,) = said
    assert warning.startswith("query 'q3': no candidate has text in title, text, contents, ")
    assert warning.endswith("The documents have text in headline: set --text-fields or SIDECAR_TEXT_FIELDS.")


@pytest.mark.parametrize("run_format", [RunFormat.TREC, RunFormat.JSONL])
def test_memory_does_not_grow_with_the_number_of_queries(tmp_path, run_format):
    def peak(queries: int) -> int:
        lists = (found(f"q{number}", *["some text " * 20] * 20) for number in range(queries))
        tracemalloc.start()
        with Journal(tmp_path / f"run{queries}", {}, resume=False) as journal:
            rerank_lists(lists, Backwards(), journal, Depth(100, documents=run_format is RunFormat.JSONL))
            publish(journal, tmp_path / f"run{queries}", run_format, "tag", first_stage_output=tmp_path / "first")
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    small, large = peak(500), peak(2500)
    # What stays of a query is its id, some 100 bytes in a set; its line alone has 2 kB, its texts have 4 kB.
    assert large - small < 2000 * 300, (small, large)
