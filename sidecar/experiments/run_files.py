"""Write runs: castorini's candidate lists, and the TREC and MS MARCO lines made from them.

The order is the same under every evaluator: scores fall strictly in single precision, in which trec_eval
compares them, so equal fused scores are made to differ by one unit in the last place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

import msgspec

from sidecar.core.candidates import Candidate, Ranked, Ranking
from sidecar.core.float32 import next_below, single
from sidecar.core.fusion import tail_scores
from sidecar.core.stage_two import StageTwo, WindowAnswer


class RunFormat(StrEnum):
    """The format of a run on disk."""

    TREC = "trec"
    MSMARCO = "msmarco"
    JSONL = "jsonl"


class RunHit(msgspec.Struct):
    """One hit of a run; `doc` is the document as JSON, absent if no format needs it."""

    docid: str
    score: float
    rerank_score: float | None
    first_stage_score: float
    first_stage_rank: int
    doc: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Query(msgspec.Struct):
    text: str
    qid: str


class _List(msgspec.Struct):
    query: _Query
    candidates: list[RunHit]
    listwise: Sequence[WindowAnswer] | msgspec.UnsetType = msgspec.UNSET
    first_stage: Sequence[RunHit] | msgspec.UnsetType = msgspec.UNSET


class _StoredHit(RunHit):
    # msgspec can't decode `Raw | UnsetType`: an empty Raw stands for an absent document.
    doc: msgspec.Raw = msgspec.Raw()


class _StoredList(msgspec.Struct):
    query: _Query
    candidates: list[_StoredHit]
    listwise: list[WindowAnswer] = []
    first_stage: list[_StoredHit] | None = None


def run_scores(hits: Sequence[Ranked]) -> list[float]:
    """Return a score for every hit, unscored ones strictly below scored ones; the first stage's if none is scored."""
    fused = [hit.score for hit in hits if hit.score is not None]
    if not fused:
        return [hit.candidate.score for hit in hits]
    return fused + tail_scores(fused[-1], len(hits) - len(fused))


def run_hits(ranking: Ranking, docs: Sequence[bytes] | None) -> list[RunHit]:
    """Return the hits of a ranking; `docs` are the documents as JSON by first-stage position."""
    return [
        RunHit(
            docid=hit.candidate.docid,
            score=score,
            rerank_score=hit.rerank_score,
            first_stage_score=hit.candidate.score,
            first_stage_rank=hit.candidate.rank,
            doc=msgspec.UNSET if docs is None else msgspec.Raw(docs[hit.candidate.rank - 1]),
        )
        for hit, score in zip(ranking.hits, run_scores(ranking.hits), strict=True)
    ]


def first_stage_hits(candidates: Sequence[Candidate], docs: Sequence[bytes] | None) -> list[RunHit]:
    """Return candidates, best first, as the hits of the first stage's own run; `docs` are theirs as JSON."""
    return [
        RunHit(
            *(candidate.docid, candidate.score, None, candidate.score, candidate.rank),
            doc=msgspec.UNSET if docs is None else msgspec.Raw(docs[candidate.rank - 1]),
        )
        for candidate in candidates
    ]


def candidate_list(
    qid: str,
    query: str,
    hits: Sequence[RunHit],
    stage_two: StageTwo | None = None,
    others: Sequence[RunHit] | None = None,
) -> bytes:
    """Return one query's hits, best first, as a line of JSON (without its line end), and a generator's answers.

    `others` are the first stage's hits, if it has others; only `first_stage` reads them.
    """
    found = _List(_Query(query, qid), list(hits))
    if others is not None:
        found.first_stage = others
    if stage_two is not None:
        found.listwise = stage_two.windows
    return msgspec.json.encode(found)


def first_stage(line: bytes) -> bytes:
    """Return the first stage's hits in its order, with its scores: the same candidates unless the line has others."""
    found = msgspec.json.decode(line, type=_StoredList)
    kept = found.candidates if found.first_stage is None else found.first_stage
    hits = [
        RunHit(hit.docid, hit.first_stage_score, None, hit.first_stage_score, hit.first_stage_rank, _doc(hit))
        for hit in sorted(kept, key=lambda hit: hit.first_stage_rank)
    ]
    return candidate_list(found.query.qid, found.query.text, hits)


def _doc(hit: _StoredHit) -> msgspec.Raw | msgspec.UnsetType:
    return hit.doc if bytes(hit.doc) else msgspec.UNSET


def count_hits(line: bytes) -> tuple[str, int, int, list[WindowAnswer]]:
    """Return a candidate list's query id, the numbers of its hits and of those scored, and a generator's answers."""
    found = msgspec.json.decode(line, type=_StoredList)
    scored = sum(hit.rerank_score is not None for hit in found.candidates)
    return found.query.qid, len(found.candidates), scored, found.listwise


def formatted(line: bytes, run_format: RunFormat, tag: str) -> str:
    """Return a candidate list in a format, line ends included; `tag` names the run in TREC's last column."""
    if run_format is RunFormat.JSONL:
        return _without_first_stage(line).decode() + "\n"
    found = msgspec.json.decode(line, type=_StoredList)
    qid, docids = found.query.qid, [hit.docid for hit in found.candidates]
    if run_format is RunFormat.TREC:
        return "".join(trec_lines(qid, docids, [hit.score for hit in found.candidates], tag))
    return "".join(f"{qid}\t{docid}\t{rank}\n" for rank, docid in enumerate(docids, start=1))


def _without_first_stage(line: bytes) -> bytes:
    if b'"first_stage":' not in line:
        return line
    fields = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    fields.pop("first_stage", None)
    return msgspec.json.encode(fields)


def trec_lines(qid: str, docids: Sequence[str], scores: Sequence[float], tag: str) -> Iterator[str]:
    """Return `qid Q0 docid rank score tag` lines, best first, the scores falling strictly."""
    for rank, (docid, score) in enumerate(zip(docids, strictly_falling(scores), strict=True), start=1):
        yield f"{qid} Q0 {docid} {rank} {score!r} {tag}\n"


def strictly_falling(scores: Iterable[float]) -> list[float]:
    """Return the scores, best first; one that does not fall below its predecessor is lowered by one float32 step."""
    falling: list[float] = []
    for score in scores:
        rounded = single(score)
        falling.append(rounded if not falling or rounded < falling[-1] else next_below(falling[-1]))
    return falling
