"""Work for Ray workers that needs no model, and a long run with it that a test can kill."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from sidecar.core.candidates import Candidate, Passage
from sidecar.core.errors import InputError
from sidecar.experiments.candidate_lists import CandidateList
from sidecar.experiments.journal import Journal
from sidecar.experiments.publish import publish
from sidecar.experiments.ray_map import Pool, ray_cluster, ray_map
from sidecar.experiments.rerank_lists import Depth, rerank_lists
from sidecar.experiments.run_files import RunFormat
from tests.support.rerankers import ByLength

# Seconds that the scripted scorer takes for a query.
SECONDS = 0.005


class SlowByLength(ByLength):
    """Ranks by length; it sleeps for each query, and tells by whom a query was ranked."""

    def rank_all(self, asked):
        for key, query, candidates in asked:
            time.sleep(SECONDS)
            yield key, self.rank_candidates(query, candidates)


def ranking():
    """Make the work of a worker: (query, candidates) → its ranking."""
    ranks = SlowByLength()
    return lambda part: [found for _, found in ranks.rank_all((None, *one) for one in part)]


def process_ids():
    """Make work that tells in which process it is done."""
    return lambda part: [(item, os.getpid()) for item in part]


def deadly(folder, item):
    """Make work whose process is killed at an item the first time that it meets it."""
    mark = Path(folder) / "died"

    def work(part):
        if item in part and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), 9)
        return [one * 2 for one in part]

    return work


def failing(item):
    """Make work that refuses an item."""

    def work(part):
        if item in part:
            raise InputError(f"no {item}", remedy="Take another.")
        return part

    return work


def unmade():
    """Fail as a model that does not load."""
    raise InputError("no model", remedy="Name another.")


def broken(part):
    """Fail with an error that is not ours."""
    return [1 / one for one in part]


class OnRay:
    """A ranker that ranks on Ray."""

    def __init__(self, workers):
        self.pool = Pool(workers, 1, 0)

    def rank_all(self, asked):
        return ray_map(((key, (query, found)) for key, query, found in asked), ranking, self.pool)


def lists(count):
    """Make candidate lists whose rankings differ."""
    for number in range(count):
        texts = [f"{'word ' * ((number * 7 + place * 5) % 23)}{place}" for place in range(12)]
        found = [Candidate(f"d{place}", place + 1, 20.0 - place, Passage("", text)) for place, text in enumerate(texts)]
        yield CandidateList(
            f"q{number}", f"query {number}", found, [json.dumps({"text": text}).encode() for text in texts]
        )


def long_run(output, count, workers):
    """Rerank the lists as `sidecar rerank` does, on Ray or, without workers, in this process; resumes by itself."""
    with Journal(output, {"count": count}, resume=True) as journal:
        depth = Depth(10, documents=True)
        if workers:
            with ray_cluster():
                rerank_lists(lists(count), OnRay(workers), journal, depth)
        else:
            rerank_lists(lists(count), SlowByLength(), journal, depth)
        publish(journal, output, RunFormat.TREC, "tag", first_stage_output=output.with_suffix(".first"))


if __name__ == "__main__":
    long_run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
