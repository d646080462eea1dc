"""Rankings of stage one without a model."""

from __future__ import annotations

from sidecar.core.candidates import Candidate, Passage, Ranked, Ranking


def ranking_of(numbers, *, texts="{} words", unscored=0, query="query"):
    """Rank passages d0, d1, … with a number in each text, the first best; the last `unscored` have no text."""
    hits = []
    for place, number in enumerate(numbers):
        score = None if place >= len(numbers) - unscored else 10.0 - place / 4
        text = "" if score is None else texts.format(number)
        candidate = Candidate(f"d{number}", place + 1, 50.0 - place, Passage("", text))
        hits.append(Ranked(candidate, place + 1, score, score))
    return Ranking(query, tuple(hits), {"score": 0.5})


def docids(ranking):
    """The docids of a ranking in its order."""
    return [hit.candidate.docid for hit in ranking.hits]
