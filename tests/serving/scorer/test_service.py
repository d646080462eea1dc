"""The service's cache: whatever is scored while a model is replaced is of one model, and kept under no wrong name."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from sidecar.core.candidates import Candidate, Passage, Score
from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.core.fusion import Fusion, Method
from sidecar.scoring.score_mapping import Mapping
from sidecar.serving.scorer.protocol import LoadedModel
from sidecar.serving.scorer.rate_limits import RateLimits
from sidecar.serving.scorer.score_cache import ScoreCache
from sidecar.serving.scorer.scorers import Scorers
from sidecar.serving.scorer.service import RerankingService
from sidecar.serving.scorer.terms import Terms

ONE, TWO = Passage("", "one"), Passage("", "two")


class Replaced:
    """Scores with the number of its model, which is replaced before the answers to the calls of `before_answer`.

    With `late` these answers still hold the scores of the model before.
    """

    scored_at = batch_seconds = 0.0

    def __init__(self, before_answer, *, late=False):
        self.models = {"m": SimpleNamespace(model="m")}
        self.late = late
        self.number, self.calls, self.before_answer = 0, 0, before_answer

    def identity(self, model):
        return f"{model} {self.number}"

    @property
    def loaded(self):
        mapping = Mapping(b=float(self.number), calibrated=True)
        return {"m": LoadedModel(f"m {self.number}", mapping, Fusion(Method.RERANK), 256)}

    def why_not(self, _):
        return ""

    async def score(self, _model, _query, passages, _terms):
        self.calls += 1
        before = self.number
        self.number += self.calls in self.before_answer
        return [Score(float(before if self.late else self.number))] * len(passages)


def service(scorer, rates=None):
    scorers = Scorers([scorer], lambda: CircuitBreaker(5, 1.0), ("m",))
    return RerankingService(scorers, cache=ScoreCache(100), rates=rates)


def values(found):
    return [score.value for score in found]


def test_kept_scores_are_not_mixed_with_those_of_the_model_that_replaced_theirs():
    async def test():
        scorer = Replaced(before_answer={2})
        ranks = service(scorer)
        assert values(await ranks.scores("m", "q", [ONE], Terms(5))) == [0]
        assert values(await ranks.scores("m", "q", [ONE, TWO], Terms(5))) == [1, 1]
        assert scorer.calls == 3

    asyncio.run(test())


def test_a_score_of_the_new_model_is_not_kept_as_one_of_the_old():
    async def test():
        scorer = Replaced(before_answer={1})
        ranks = service(scorer)
        assert values(await ranks.scores("m", "q", [ONE], Terms(5))) == [1]
        assert scorer.calls == 2
        scorer.number = 0  # the files from before are back
        assert values(await ranks.scores("m", "q", [ONE], Terms(5))) == [0]

    asyncio.run(test())


def test_the_lists_of_one_request_are_scored_by_one_model():
    async def test():
        scorer = Replaced(before_answer={2})
        found = await service(scorer).scores_of_lists("m", [("q", [ONE]), ("r", [ONE, TWO])], Terms(5))
        assert [values(one) for one in found] == [[1], [1, 1]]

    asyncio.run(test())


def test_without_time_to_score_again_nothing_is_scored():
    async def test():
        scorer = Replaced(before_answer={1})
        assert await service(scorer).scores("m", "q", [ONE], Terms(0)) == [None]

    asyncio.run(test())


def test_scoring_again_does_not_count_against_the_callers_rate():
    async def test():
        scorer = Replaced(before_answer={1})
        rates = RateLimits(tokens=3)  # two are estimated
        assert values(await service(scorer, rates).scores("m", "q", [ONE], Terms(5))) == [1]

    asyncio.run(test())


def test_a_ranking_is_read_by_the_mapping_of_the_model_that_scored():
    async def test():
        scorer = Replaced(before_answer={1}, late=True)
        candidates = [Candidate("d", 1, 9.0, ONE)]
        # The first model's score is 0: 0.5 by its own mapping, 0.73 by the second model's, whose score 1 is 0.88.
        outcome = await service(scorer).rank("q", candidates, model="m", fusion=None, seconds=5, min_relevance=0.8)
        scorer.number = 9  # replaced once more, before the response is written
        assert [hit.rerank_score for hit in outcome.ranking.hits] == [1.0]
        assert outcome.mapping == Mapping(b=1.0, calibrated=True)

    asyncio.run(test())
