"""The service with several scorer processes, as callers and operators see it: one is killed, hangs or is reloaded."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from sidecar.core.errors import ModelError
from sidecar.serving.scorer.process import COMMAND as WORKER
from tests.support.servers.hits import by_model
from tests.support.servers.metrics import series
from tests.support.servers.searches import body, ids, outcome
from tests.support.servers.served import served
from tests.support.waiting import until

FIRST_STAGE = [str(i) for i in range(10)]
MODEL_ORDER = by_model()[:10]
KEY = {"X-Sidecar-Api-Key": "s3cret"}
TWO = {"devices": ("cpu", "cpu"), "api_key": "s3cret", "score_cache": 0}


@pytest.fixture(scope="module")
def service(upstream):
    with served(upstream.url, **TWO) as running:
        yield running


# Why a search keeps its first stage's order: too much waits, a process ended, the time is over, or no process answers.
FAILED = ("wait to be scored already", "ended", "nothing was scored", "no scorer process has given a sign of life")


def members(running):
    return running.running.service.scorers.links[0].members


def ready(running):
    return running.ask("GET", "/_sidecar/health/ready")


def until_both(running):
    until(lambda: ready(running).json().get("up") == 2, seconds=20)


def test_health_status_and_metrics_say_how_many_are_up(service):
    until_both(service)
    assert ready(service).json()["processes"] == 2
    told = service.ask("GET", "/_sidecar/status", headers=KEY).json()["scorer"]
    assert told["processes"] == [{"device": "cpu", "up": True, "reason": "", "restarts": 0}] * 2
    found = service.ask("GET", "/_sidecar/metrics", headers=KEY).body.decode()
    for number in range(2):
        assert f'sidecar_scorer_process_up{{device="cpu",process="{number}"}} 1.0' in found
    os.kill(members(service)[1].process.pid, signal.SIGKILL)
    until(lambda: ready(service).json()["up"] == 1)
    assert ready(service).status == 200
    assert outcome(service.search("docs", body("one is enough"))) == ("applied", "")
    found = service.ask("GET", "/_sidecar/metrics", headers=KEY).body.decode()
    assert 'sidecar_scorer_process_up{device="cpu",process="1"} 0.0' in found
    until_both(service)


def test_a_service_with_one_process_names_it(upstream):
    with served(upstream.url) as running:
        told = running.ask("GET", "/_sidecar/status").json()["scorer"]
        assert told["processes"] == [{"device": "auto", "up": True, "reason": "", "restarts": 0}]
        assert "up" not in ready(running).json()
        assert any("sidecar_scorer_process_up" in one for one in series(running))


def test_both_give_the_same_order_as_one(service, upstream):
    until_both(service)
    with served(upstream.url) as one:
        expected = one.search("docs", body("fox", rerank={"explain": True}, size=100))
        found = service.search("docs", body("fox", rerank={"explain": True}, size=100))
    assert outcome(found) == outcome(expected) == ("applied", "")
    scores = [[(hit["_id"], hit["_score"]) for hit in answer.json()["hits"]["hits"]] for answer in (found, expected)]
    assert scores[0] == scores[1]


def test_a_model_is_reloaded_while_searches_are_reranked(upstream):
    outcomes, stop = [], threading.Event()

    def search():
        while not stop.is_set():
            outcomes.append(outcome(service.search("docs", body("fox", rerank={"model": "slow"}))))

    with served(upstream.url, **TWO, models={"slow": "m"}) as service, ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(search) for _ in range(3)]
        answer = service.ask("POST", "/_sidecar/models/slow/reload", b"", KEY)
        stop.set()
        for one in asking:
            one.result()
    assert (answer.status, answer.json()) == (200, {"model": "slow", "identity": "slow Shifted"})
    assert set(outcomes) == {("applied", "")}


def test_a_stopped_process_costs_no_search_its_order(service):
    until_both(service)
    stopped = members(service)[1].process
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: service.search("docs", body(f"warm {i} sleep 1")), range(16)))
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            first = list(pool.map(lambda i: service.search("docs", timed(f"a {i} sleep 1", 4000)), range(24)))
            until(lambda: ready(service).json()["up"] == 1)
            later = list(pool.map(lambda i: service.search("docs", timed(f"b {i} sleep 1", 4000)), range(24)))
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
    assert {answer.status for answer in first} == {200}
    # What the process had when it was stopped is lost, and nothing else.
    counted = Counter(outcome(answer)[0] for answer in first)
    assert counted["applied"] >= 16
    assert {outcome(answer) for answer in later} == {("applied", "")}
    until_both(service)


def timed(query, milliseconds):
    return body(query, rerank={"timeout_ms": milliseconds}, size=10)


def test_with_64_clients_at_twice_the_load_one_killed_process_loses_nothing(upstream):
    """A search takes 0.1 s of one process; together they score about 20 a second, and are sent 40."""

    def search(i):
        time.sleep(max(0.0, started + i / 40 - time.monotonic()))
        return service.search("docs", timed(f"load {i} sleep 1", 2000))

    with served(upstream.url, **TWO) as service, ThreadPoolExecutor(64) as pool:
        assert outcome(service.search("docs", timed("warm sleep 1", 9000))) == ("applied", "")
        started = time.monotonic()
        coming = [pool.submit(search, i) for i in range(240)]
        until(lambda: sum(one.done() for one in coming) > 80)
        os.kill(members(service)[0].process.pid, signal.SIGKILL)
        answers = [one.result() for one in coming]
        until_both(service)
        assert outcome(service.search("docs", timed("afterwards", 9000))) == ("applied", "")
        restarts = service.running.service.scorers.restarts
    counted = Counter(outcome(answer)[0] for answer in answers)
    assert {answer.status for answer in answers} == {200}
    assert sum(counted.values()) == 240
    assert set(counted) <= {"applied", "partial", "failed"}
    for answer in answers:
        status, reason = outcome(answer)
        if status == "applied":
            assert ids(answer) == MODEL_ORDER
        elif status == "failed":
            assert ids(answer) == FIRST_STAGE
            assert any(words in reason for words in FAILED), reason
    assert counted["applied"] > 60
    assert restarts == 1


def test_a_model_that_only_one_process_has_fails_alone(upstream):
    placed = {"models": {"other": "m"}, "devices": ("cuda:0", "cuda:1"), "device": "cuda", "score_cache": 0}
    places = {"e5-small": "cuda:0", "other": "cuda:1"}
    with served(upstream.url, **placed, model_devices=places) as running:
        os.kill(members(running)[1].process.pid, signal.SIGKILL)
        until(lambda: not members(running)[1].process.ready)
        assert outcome(running.search("docs", body("a", rerank={"model": "e5-small"}))) == ("applied", "")
        status, reason = outcome(running.search("docs", body("b", rerank={"model": "other"})))
        assert (status, reason) == ("failed", "the scorer process ended")
        assert ready(running).status == 503
        until(lambda: ready(running).status == 200)
        assert outcome(running.search("docs", body("c", rerank={"model": "other"}))) == ("applied", "")


def test_a_device_whose_models_cant_be_loaded_ends_the_start(upstream):
    refused = pytest.raises(ModelError, match="On cpu: .*nosuchthing")
    with refused, served(upstream.url, command=WORKER, devices=("cpu", "cpu"), model="nosuchthing"):
        pass
