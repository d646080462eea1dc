"""The service's cache: whatever is scored while a model is replaced is of one model, and kept under no wrong name."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from sidecar.core.candidates import Passage, Score
from sidecar.core.circuit_breaker import CircuitBreaker
from sidecar.serving.scorer.score_cache import ScoreCache
from sidecar.serving.scorer.scorers import Scorers
from sidecar.serving.scorer.service import RerankingService
from sidecar.serving.scorer.terms import Terms

ONE, TWO = Passage("", "one"), Passage("", "two")


class Replaced:
    """Scores with the number of its model, which is replaced before the answers to the calls of `before_answer`."""

    scored_at = batch_seconds = 0.0

    def __init__(self, before_answer):
        self.models = {"m": SimpleNamespace(model="m")}
        self.number, self.calls, self.before_answer = 0, 0, before_answer

    def identity(self, model):
        return f"{model} {self.number}"

    def why_not(self, _):
        return ""

    async def score(self, _model, _query, passages, _terms):
        self.calls += 1
        self.number += self.calls in self.before_answer
        return [Score(float(self.number))] * len(passages)


def service(scorer):
    return RerankingService(Scorers([scorer], lambda: CircuitBreaker(5, 1.0), ("m",)), cache=ScoreCache(100))


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
        scorer.number = 0  # the files from before are back
        assert values(await ranks.scores("m", "q", [ONE], Terms(5))) == [0]

    asyncio.run(test())
