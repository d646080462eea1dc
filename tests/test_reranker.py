"""The story: what is scored, in which order it comes out, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from sidecar.core.candidates import Chunk, Passage, Score
from sidecar.core.errors import InputError, NonFiniteScore, ScoringError
from sidecar.core.fusion import Fusion, Method
from sidecar.core.listwise_spec import ListwiseSpec
from sidecar.core.spans import SpanOptions
from sidecar.listwise.stage import ListwiseStage
from sidecar.listwise.windows import Answer
from sidecar.reranker import Reranker
from sidecar.scoring.checkpoints.manifest import Manifest, PreferredFusion
from sidecar.scoring.score_mapping import Mapping


class Table:
    """A scorer that looks its scores up by the passage's text."""

    name = "table"
    manifest = Manifest()

    def __init__(self, scores: dict[str, float]) -> None:
        self.scores = scores

    def score(self, query: str, passages: Sequence[Passage]) -> list[Score]:
        return [Score(self.scores[passage.text]) for passage in passages if passage.text in self.scores]

    def read(self, query, passages):
        return query, passages

    def score_all(self, readings):
        return [self.score(*reading) for reading in readings]


def test_the_best_logit_comes_first_and_the_first_stage_travels_along(candidates):
    found = candidates(9.0, 8.0, 7.0, texts=["a", "b", "c"])
    ranking = Reranker(Table({"a": -2.0, "b": 1.5, "c": -2.0})).rank_candidates("query", found)
    assert [(hit.candidate.docid, hit.rank, hit.score, hit.rerank_score) for hit in ranking.hits] == [
        ("d2", 1, 1.5, 1.5),
        ("d1", 2, -2.0, -2.0),
        ("d3", 3, -2.0, -2.0),
    ]
    assert [hit.candidate.score for hit in ranking.hits] == [8.0, 9.0, 7.0]


def test_passages_without_text_follow_unscored_in_first_stage_order(candidates):
    found = candidates(9.0, 8.0, 7.0, 6.0, texts=["", "b", " \n", "d"])
    ranking = Reranker(Table({"b": -5.0, "d": 0.0})).rank_candidates("query", found)
    assert [(hit.candidate.docid, hit.score) for hit in ranking.hits] == [
        ("d4", 0.0),
        ("d2", -5.0),
        ("d1", None),
        ("d3", None),
    ]
    assert (ranking.scored, ranking.unscored) == (2, 2)


def test_fusion_decides_the_order(candidates):
    found = candidates(10.0, 5.0, 0.0, texts=["a", "b", "c"])
    fusion = Fusion(Method.LINEAR, weight=0.25)
    ranking = Reranker(Table({"a": 0.0, "b": 1.0, "c": 0.5}), fusion).rank_candidates("query", found)
    assert [(hit.candidate.docid, hit.score) for hit in ranking.hits] == [
        ("d1", 0.75 * 1 + 0.25 * 0),
        ("d2", 0.75 * 0.5 + 0.25 * 1),
        ("d3", 0.75 * 0 + 0.25 * 0.5),
    ]


def test_a_models_manifest_names_the_fusion_and_the_caller_goes_before_it(candidates):
    class Fused(Table):
        manifest = Manifest(fusion=PreferredFusion(weight=0.75))

    found, scorer = candidates(10.0, 5.0, 0.0, texts=["a", "b", "c"]), Fused({"a": 0.0, "b": 1.0, "c": 0.5})
    assert [(hit.candidate.docid, hit.score) for hit in Reranker(scorer).rank_candidates("query", found).hits] == [
        ("d2", 0.25 * 0.5 + 0.75 * 1),
        ("d3", 0.25 * 0 + 0.75 * 0.5),
        ("d1", 0.25 * 1 + 0.75 * 0),
    ]
    alone = Reranker(scorer, Fusion(Method.RERANK)).rank_candidates("query", found)
    assert [(hit.candidate.docid, hit.score) for hit in alone.hits] == [("d2", 1.0), ("d3", 0.5), ("d1", 0.0)]


def test_no_candidates_give_an_empty_ranking():
    assert Reranker(Table({})).rank_candidates("query", []).hits == ()


def test_an_empty_query_is_refused(candidates):
    with pytest.raises(InputError, match="query is empty"):
        Reranker(Table({})).rank_candidates(" \t", candidates(1.0))


def test_a_model_that_gives_nan_is_an_error(candidates):
    with pytest.raises(NonFiniteScore, match="d1"):
        Reranker(Table({"a": math.nan})).rank_candidates("query", candidates(1.0, texts=["a"]))


def test_a_model_that_gives_too_few_scores_is_an_error(candidates):
    with pytest.raises(ScoringError, match="table gave 1 scores for 2 passages"):
        Reranker(Table({"a": 1.0})).rank_candidates("query", candidates(2.0, 1.0, texts=["a", "unknown"]))


def test_what_a_score_and_fusion_say_comes_along(candidates):
    class Chunked:
        name = "chunked"
        manifest = Manifest()

        def score(self, query, passages):
            return [Score(4.0, truncated=True, chunk=Chunk(1, 3, 10, 20)), Score(2.0)]

    ranking = Reranker(Chunked(), Fusion(Method.LINEAR, weight=0.5)).rank_candidates("query", candidates(1.0, 5.0))
    # min-max: the first stage's 1 and 5 become 0 and 1, the model's 4 and 2 become 1 and 0
    assert [(hit.score, hit.normalized, hit.truncated, hit.chunk) for hit in ranking.hits] == [
        (0.5, (0.0, 1.0), True, Chunk(1, 3, 10, 20)),
        (0.5, (1.0, 0.0), False, None),
    ]


def test_many_queries_are_ranked_as_one_by_one_each_under_its_key(candidates):
    reranker = Reranker(Table({"a": -2.0, "b": 1.5, "c": 0.0}), Fusion(Method.LINEAR))
    lists = [candidates(9.0, 8.0, 7.0, texts=texts) for texts in (["a", "b", "c"], ["", "c", "b"], ["", "", ""])]
    asked = [(i, f"query {i}", found) for i, found in enumerate([*lists, []])]
    found = list(reranker.rank_all(asked))
    assert [key for key, _ in found] == [0, 1, 2, 3]
    assert [ranking.hits for _, ranking in found] == [
        reranker.rank_candidates(query, one).hits for _, query, one in asked
    ]


def test_an_error_comes_after_the_rankings_before_it(candidates):
    one = candidates(1.0, texts=["a"])
    ranked = []
    with pytest.raises(InputError, match="the query is empty"):
        ranked.extend(
            key for key, _ in Reranker(Table({"a": 1.0})).rank_all([(1, "q", one), (2, "q", one), (3, " ", one)])
        )
    assert ranked == [1, 2]
    with pytest.raises(ScoringError, match="0 scores for 1 passages"):
        list(Reranker(Table({})).rank_all([(1, "q", one)]))


def test_spans_are_the_best_sentences_of_each_passage():
    scorer = Table({"One.": 0.0, "Two!": 2.0, "Three.": -1.0})
    scorer.mapping = Mapping()
    found = Reranker(scorer).spans("query", [Passage("", "One. Two! Three."), Passage("", " ")], SpanOptions(2))
    assert [[(span.start, span.end) for span in own] for own in found] == [[(5, 9), (0, 4)], []]
    assert [span.score for span in found[0]] == [pytest.approx(0.880797), 0.5]


class Reversing:
    """A generator that turns every window round."""

    prompt, identity = "rankgpt", "reversing"

    def answer(self, chat, *, seconds):
        return Answer(" > ".join(f"[{name}]" for name in reversed(chat.identifiers)))

    def cancel(self):
        pass


def two_stages():
    stage = ListwiseStage(Reversing(), ListwiseSpec(model="reversing", depth=3))
    return Reranker(Table({"a": 3.0, "b": 2.0, "c": 1.0, "d": 0.0}), listwise=stage)


def test_a_generator_puts_the_first_hits_in_order_and_the_scores_stay_with_the_places(candidates):
    found = candidates(9.0, 8.0, 7.0, 6.0, texts=["d", "a", "b", "c"])
    expected = [("d4", 3.0, 1.0), ("d3", 2.0, 2.0), ("d2", 1.0, 3.0), ("d1", 0.0, 0.0)]
    reranker = two_stages()
    one = reranker.rank_candidates("query", found)
    assert [(hit.candidate.docid, hit.score, hit.rerank_score) for hit in one.hits] == expected
    many = list(reranker.rank_all((key, "query", found) for key in range(20)))
    assert [key for key, _ in many] == list(range(20))
    assert all(ranking.hits == one.hits for _, ranking in many)


def test_documents_have_the_order_of_the_generator_too():
    ranked = two_stages().rank("query", ["d", "a", "b", "c"], top_k=2)
    assert [(found.index, found.score, found.document) for found in ranked] == [(3, 3.0, "c"), (2, 2.0, "b")]
    assert two_stages().rerank("query", ["d", "a"]) == [(0, 3.0), (1, 0.0)]
