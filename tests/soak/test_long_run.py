"""A long run keeps its scorer busy and its memory flat: 100,000 queries of 100 candidates, 5 ms of scoring each.

`SIDECAR_TEST_QUERIES` sets another number of queries.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from sidecar.core.candidates import Score
from sidecar.core.documents import PassageFields
from sidecar.experiments.candidate_files import read_candidates
from sidecar.experiments.journal import Journal
from sidecar.experiments.list_checks import Demands
from sidecar.experiments.manifest import RunManifest, Tally
from sidecar.experiments.publish import publish
from sidecar.experiments.rerank_lists import Depth, TextWatch, rerank_lists
from sidecar.experiments.run_files import RunFormat
from sidecar.reranker import Reranker
from sidecar.scoring.checkpoints.manifest import Manifest

pytestmark = pytest.mark.soak

QUERIES = int(os.environ.get("SIDECAR_TEST_QUERIES", "100000"))
CANDIDATES = 100
SECONDS = 0.005
# Queries of the candidate file, which is read again and again.
IN_FILE = 500


class Sleeping:
    """Scores a query in 5 ms, in which another thread may compute, as a GPU does."""

    name = "sleeping"
    manifest = Manifest()
    busy = 0.0

    def read(self, query, passages):
        return passages

    def score_all(self, tokenized):
        began = time.perf_counter()
        time.sleep(SECONDS)
        self.busy += time.perf_counter() - began
        return [[Score(float(len(passage.text) % 17)) for passage in passages] for passages in tokenized]


def candidate_file(path: Path) -> Path:
    with path.open("w") as file:
        for query in range(IN_FILE):
            hits = [
                {"docid": f"d{n}", "score": 200.0 - n, "text": f"passage {n} of {query} " + "word " * (n % 40)}
                for n in range(CANDIDATES)
            ]
            file.write(json.dumps({"query_id": str(query), "query": f"query {query}", "candidates": hits}) + "\n")
    return path


def endless(path: Path):
    for number in range(-(-QUERIES // IN_FILE)):
        for found in read_candidates(path, PassageFields()):
            yield replace(found, qid=f"{number}-{found.qid}")


def megabytes() -> float:
    return psutil.Process().memory_info().rss / 1e6


def test_a_scorer_is_kept_busy_and_memory_stays_flat(tmp_path, capsys):
    output, scorer, memory = tmp_path / "run.trec", Sleeping(), []
    path = candidate_file(tmp_path / "candidates.jsonl")
    watch = TextWatch(PassageFields(), CANDIDATES, print)
    began = time.perf_counter()
    with Journal(output, {"soak": 1}, resume=False) as journal:
        lists = watch(Demands(RunFormat.TREC, CANDIDATES, fused=True).check(endless(path)))
        rerank_lists(
            lists,
            Reranker(scorer),
            journal,
            Depth(CANDIDATES),
            finished=lambda _: memory.append(megabytes()) if len(journal.done) % 1000 == 0 else None,
        )
        seconds = time.perf_counter() - began
        RunManifest("soak", {}, {}, {}).write(output, Tally.of(journal.lines()), seconds=seconds, resumed=0)
        publish(journal, output, RunFormat.TREC, "soak")
    queries = -(-QUERIES // IN_FILE) * IN_FILE
    with capsys.disabled():
        told = f"{queries} queries in {seconds:.1f} s, {scorer.busy / seconds:.1%} of it scoring; {max(memory):.0f} MB"
        sys.stdout.write(f"\n{told}\n")
    with output.open() as file:
        assert sum(1 for _ in file) == queries * CANDIDATES
    assert max(*memory, megabytes()) < 1500
    # Only the ids of the finished queries are kept: about 100 bytes each.
    assert memory[-1] - memory[0] < 20 + queries * 150e-6
    assert scorer.busy / seconds >= 0.95
