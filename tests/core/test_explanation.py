"""Why a hit stands where it stands, as a record and as a person reads it."""

from __future__ import annotations

import msgspec

from sidecar.cli.tables import paragraph
from sidecar.core.candidates import Candidate, Chunk, Passage, Ranked, Ranking
from sidecar.core.explanation import explain
from sidecar.scoring.score_mapping import Mapping

READ = Passage("T", "text", ("title", "body.text"))
RANKING = Ranking(
    "q",
    (
        Ranked(
            Candidate("b", 2, 3.5, READ), 1, 0.75, 0.0, truncated=True, chunk=Chunk(1, 3, 90, 180), normalized=(0.5, 1)
        ),
        Ranked(Candidate("a", 1, 4.0, READ), 2, -2.0, -2.0),
        Ranked(Candidate("[c]", 3, 1.0, Passage("", "")), 3, None, None),
    ),
    {},
)


def test_all_that_was_known_of_a_hit_is_in_its_record():
    found = msgspec.to_builtins(explain(RANKING, Mapping(a=2.0, b=0.0, calibrated=True)))
    assert found[0] == {
        "docid": "b",
        "rank": 1,
        "score": 0.75,
        "first_stage_rank": 2,
        "first_stage_score": 3.5,
        "rerank_score": 0.0,
        "relevance": 0.5,
        "calibrated": True,
        "normalized_first_stage": 0.5,
        "normalized_rerank": 1,
        "fields": ("title", "body.text"),
        "stage_one_rank": None,
        "stage_one_score": None,
        "truncated": True,
        "chunk": {"index": 1, "count": 3, "start": 90, "end": 180},
    }
    unscored = ("score", "rerank_score", "relevance", "normalized_first_stage", "normalized_rerank", "chunk")
    assert {found[2][name] for name in unscored} == {None}


def test_a_person_reads_it_in_a_few_lines():
    texts = [paragraph(explanation) for explanation in explain(RANKING, Mapping())]
    assert texts[0].splitlines() == [
        "[bold]1  b[/]",
        "   first stage: rank 2, score 3.5000",
        "   model: 0.0000 (0–1: 0.5000, uncalibrated)",
        "   fused: 0.7500 from 0.5000 of the first stage, 1.0000 of the model",
        "   read: title, body.text, not to the end; best chunk 2 of 3, characters 90 to 180",
    ]
    assert texts[1].splitlines()[3] == "   fused: -2.0000"
    assert texts[2].splitlines() == [
        r"[bold]3  \[c][/]",
        "   first stage: rank 3, score 1.0000",
        "   not scored: it has no text",
    ]
