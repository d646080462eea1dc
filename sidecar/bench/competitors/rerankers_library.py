"""The library rerankers (github.com/AnswerDotAI/rerankers), with a local cross-encoder and its defaults."""

from __future__ import annotations

from sidecar.bench.subject import Subject
from sidecar.bench.system import Offer, Score
from sidecar.bench.work import Query


def _load(subject: Subject) -> Score:
    from rerankers import Reranker

    ranker = Reranker(
        str(subject.foreign), model_type="cross-encoder", device=subject.device, dtype=subject.dtype, verbose=0
    )
    if ranker is None:  # the library prints a message and returns None if it can't import its backend
        raise ImportError("rerankers has no backend for cross-encoders here")
    ranker.model = subject.weights(ranker.model)

    def score(query: Query) -> list[float]:
        ranked = ranker.rank(query.written, list(query.documents))
        scores = {result.doc_id: float(result.score) for result in ranked.results}
        return [scores[index] for index in range(len(query.documents))]

    return score


OFFERS = [Offer("rerankers", "rerankers' TransformerRanker, batches of 16 in the order given", _load)]
