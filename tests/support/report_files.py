"""Runs and candidate lists as the commands write them, small enough to compute the figures of a report by hand."""

from __future__ import annotations

import json

QRELS = {"q1": {"a": 2, "b": 0, "x": 1}, "q2": {"c": 1}, "q3": {"a": 1}}


def write_run(path, lists):
    lines = [
        f"{qid} Q0 {docid} {rank} {10 - rank} tag\n"
        for qid, docids in lists.items()
        for rank, docid in enumerate(docids, start=1)
    ]
    path.write_text("".join(lines))
    return path


def write_lists(path, lists, *, fusion=None, window=3, seconds=6.0, **more):
    """Write a candidate list as `rerank` does: query id → (text, hits), a hit (docid, rerank score, first rank)."""
    lines, scored = [], 0
    for qid, (text, hits) in lists.items():
        candidates = [
            {
                "docid": docid,
                "score": 10.0 - rank,
                "rerank_score": score,
                "first_stage_score": 5.0 - first,
                "first_stage_rank": first,
                "doc": {"title": f"Title {docid}", "text": f"Text of {docid}"},
            }
            for rank, (docid, score, first) in enumerate(hits)
        ]
        scored += sum(score is not None for _, score, _ in hits)
        lines.append(json.dumps({"query": {"text": text, "qid": qid}, "candidates": candidates}) + "\n")
    path.write_text("".join(lines))
    manifest = {
        "output": path.name,
        "command": "rerank",
        "settings": {"window": window},
        "model": {"model": "tiny", "engine": "none", "fusion": fusion or {"method": "rerank"}},
        "first_stage": {"input": "first.jsonl"},
        "versions": {},
        "queries": len(lists),
        "hits": sum(len(hits) for _, hits in lists.values()),
        "passages_scored": scored,
        "seconds": seconds,
        **more,
    }
    path.with_name(f"{path.name}.manifest.json").write_text(json.dumps(manifest))
    return path
