"""Long runs on a local Ray: the same bytes as one process, whoever is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from sidecar.core.errors import ConfigurationError, InputError, ScoringError
from sidecar.experiments.ray_map import PART, Pool, ray_cluster, ray_map
from tests.support import ray_work

pytestmark = [
    pytest.mark.integrations,
    # Ray reads deprecated options of its own.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),
]
ROOT = Path(__file__).parents[2]
TWO = Pool(2, 1, 0)


@pytest.fixture(scope="module")
def ray():
    """A Ray on this machine with room for four workers."""
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20)
    yield ray
    ray.shutdown()


def numbered(count):
    return [(f"k{i}", i) for i in range(count)]


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize("count", [0, 1, PART, 10 * PART + 1])
def test_results_come_in_order_with_their_keys(count):
    found = list(ray_map(numbered(count), ray_work.process_ids, TWO))
    assert [(key, item) for key, (item, _) in found] == numbered(count)
    workers = {worker for _, (_, worker) in found}
    assert os.getpid() not in workers
    assert len(workers) <= 2


@pytest.mark.usefixtures("ray")
def test_a_part_whose_worker_is_killed_is_done_again(tmp_path):
    count = 6 * PART
    found = list(ray_map(numbered(count), partial(ray_work.deadly, tmp_path, 3 * PART), TWO))
    assert (tmp_path / "died").exists()
    assert found == [(f"k{i}", 2 * i) for i in range(count)]


@pytest.mark.usefixtures("ray")
def test_an_error_of_the_work_follows_what_is_finished():
    found = ray_map(numbered(3 * PART), partial(ray_work.failing, 2 * PART), TWO)
    assert [next(found) for _ in range(2 * PART)] == numbered(2 * PART)
    with pytest.raises(InputError, match=f"no {2 * PART}") as refused:
        next(found)
    assert refused.value.remedy == "Take another."


@pytest.mark.usefixtures("ray")
def test_a_model_that_does_not_load_is_an_error_and_not_retried():
    with pytest.raises(InputError, match="no model"):
        list(ray_map(numbered(PART), ray_work.unmade, TWO))


@pytest.mark.usefixtures("ray")
def test_another_error_names_its_kind():
    with pytest.raises(ScoringError, match="a worker failed: ZeroDivisionError"):
        list(ray_map(numbered(PART), lambda: ray_work.broken, TWO))


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize("pool", [Pool(9, 1, 0), Pool(1, 99, 0), Pool(1, 1, 1)])
def test_more_than_the_cluster_has_is_refused(pool):
    with pytest.raises(ConfigurationError, match=r"do not fit: the cluster has 4 CPUs and 0 GPUs"):
        list(ray_map(numbered(1), ray_work.process_ids, pool))


def test_no_cluster_at_an_address_is_said(monkeypatch):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ConfigurationError, match="can't be reached at 127.0.0.1:1"), ray_cluster("127.0.0.1:1"):
        pass


@pytest.mark.soak
@pytest.mark.usefixtures("ray")
def test_two_workers_are_1_8_times_as_fast_as_one():
    """By the time from the first result to the last: starting a worker takes seconds, whatever there is to do."""
    asked = [(found, (found.query, found.candidates)) for found in ray_work.lists(60 * PART)]

    def seconds(workers):
        found = ray_map(asked, ray_work.ranking, Pool(workers, 1, 0))
        # Until both workers are there, each has done parts.
        for _ in range(20 * PART):
            next(found)
        began = time.perf_counter()
        assert sum(1 for _ in found) == 40 * PART
        return time.perf_counter() - began

    one, two = seconds(1), seconds(2)
    assert one / two >= 1.8, (one, two)


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize("words", [("rerank", "lists.jsonl", "--format", "trec"), ("teach", "lists.jsonl")])
def test_a_command_on_ray_writes_the_same_bytes(run, tmp_path, tiny_bert, words):
    docs = [{"docid": f"d{n}", "score": 9 - n, "text": "fox " * n + "dog"} for n in range(1, 6)]
    lines = [{"query_id": f"q{i}", "query": f"fox {i}", "candidates": docs[i % 3 :]} for i in range(2 * PART + 3)]
    (tmp_path / "lists.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    # The tests take this process for one without bfloat16; the workers may have it.
    words = [*words, "--model", tiny_bert, "--device", "cpu", "--dtype", "float32", "--output"]
    for more in (["here"], ["ray", "--ray", "--ray-workers", "2", "--ray-cpus", "1"]):
        status, _, said = run(*words, *more)
        assert status == 0, said
    assert (tmp_path / "ray").read_bytes() == (tmp_path / "here").read_bytes()
    if words[0] == "rerank":
        here, ray = (json.loads((tmp_path / f"{name}.manifest.json").read_text()) for name in ("here", "ray"))
        # A worker has one of the threads that this process has.
        assert [here["model"][name] == ray["model"][name] for name in ("model", "engine", "fusion")] == [True] * 3
        assert here["settings"] == ray["settings"]


def started(output, count, workers, ray):
    """Start a run on the cluster of these tests: what is killed is the process that reads, writes and submits."""
    address = ray.get_runtime_context().gcs_address
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_ADDRESS": address}
    words = [sys.executable, "-m", "tests.support.ray_work", str(output), str(count), str(workers)]
    return subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("count", "kills"), [(800, 2), pytest.param(3200, 10, marks=pytest.mark.soak)])
def test_a_run_that_is_killed_goes_on_to_the_same_bytes(tmp_path, ray, count, kills):
    chance = random.Random(17)
    ray_work.long_run(tmp_path / "whole", count, 0)
    journal = tmp_path / ".run.journal"
    kept = 0
    for _ in range(kills):
        process = started(tmp_path / "run", count, 2, ray)
        aim = kept + chance.randint(1, count // kills - 100)
        while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") - 1 < aim):
            time.sleep(0.01)
        assert process.poll() is None, process.communicate()[1]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (tmp_path / "run").exists()
        kept = journal.read_bytes().count(b"\n") - 1
        assert aim <= kept < count
    process = started(tmp_path / "run", count, 2, ray)
    _, said = process.communicate()
    assert process.returncode == 0, said
    for suffix in ("", ".first"):
        assert (tmp_path / f"run{suffix}").read_bytes() == (tmp_path / f"whole{suffix}").read_bytes()
