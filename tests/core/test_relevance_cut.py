"""Leaving out what is not relevant enough: by the model's probability, never by the fused score."""

from __future__ import annotations

import pytest

from sidecar.core.candidates import Candidate, Cut, Passage, Ranked, Ranking
from sidecar.core.errors import ConfigurationError
from sidecar.core.relevance_cut import keep_relevant, require_calibrated
from sidecar.scoring.score_mapping import Mapping

CALIBRATED = Mapping(calibrated=True)


def ranking(*scores):
    """A ranking whose fused scores fall, whatever the model's own scores (None: unscored)."""
    hits = [
        Ranked(Candidate(f"d{i}", i, 9.0, Passage("", "a")), i, None if s is None else -float(i), s)
        for i, s in enumerate(scores, 1)
    ]
    return Ranking("q", tuple(hits), {})


def told(found):
    return [(hit.candidate.docid, hit.rank, hit.score) for hit in found.hits]


def test_hits_from_the_threshold_on_stay_in_their_order():
    # sigmoid: 2 → 0.881, -1 → 0.269, 0 → 0.5
    found = keep_relevant(ranking(2.0, -1.0, 0.0, None), 0.5, CALIBRATED)
    assert told(found) == [("d1", 1, -1.0), ("d3", 2, -3.0)]
    assert found.cut == Cut(least=0.5, dropped=2, unscored=1)
    assert (found.scored, found.unscored) == (3, 1)


def test_nothing_is_relevant_enough():
    found = keep_relevant(ranking(-1.0), 0.9, CALIBRATED)
    assert (told(found), found.cut) == ([], Cut(0.9, 1, 0))


def test_zero_keeps_every_hit():
    whole = ranking(-50.0, None)
    assert keep_relevant(whole, 0.0, CALIBRATED) is whole


def test_a_score_that_is_no_probability_has_no_threshold():
    require_calibrated(CALIBRATED, "m")
    with pytest.raises(ConfigurationError, match="min_relevance needs a calibrated model, and the scores of m are no"):
        require_calibrated(Mapping(), "m")
