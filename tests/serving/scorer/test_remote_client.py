"""The service with remote scorers: never worse than the first stage, whatever they do."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sidecar.core.candidates import Passage, Score
from sidecar.core.errors import ConfigurationError, ModelError, ScorerBusy, ScorerUnavailable
from sidecar.core.model_spec import ModelSpec, Remote
from sidecar.serving.scorer.remote_client import RemoteScorerClient
from sidecar.serving.scorer.terms import Terms
from tests.support.servers.hits import by_model
from tests.support.servers.remote_stub import remote_stub
from tests.support.servers.searches import body, ids, outcome
from tests.support.servers.served import ask, served
from tests.support.servers.service_process import free_ports
from tests.support.waiting import until

FIRST_STAGE = [str(i) for i in range(10)]
MODEL_ORDER = by_model()[:10]
PATIENT = {"breaker_failures": 1000}


def fault(status, answer=b"", **headers):
    return lambda _: (status, {name.replace("_", "-"): value for name, value in headers.items()}, answer)


def scores(*values):
    return json.dumps({"results": [{"index": i, "relevance_score": v} for i, v in enumerate(values)]}).encode()


def ready(running):
    return running.ask("GET", "/_sidecar/health/ready")


def children():
    return {child for file in Path("/proc/self/task").glob("*/children") for child in file.read_text().split()}


def test_a_search_is_scored_by_a_server(upstream):
    with remote_stub("vllm") as server:
        before = children()
        with served(upstream.url, model=server.url) as running:
            answer = running.search("docs", body())
            assert (outcome(answer), ids(answer)) == (("applied", ""), MODEL_ORDER)
            assert children() == before, "no scorer process is started for remote models alone"
            assert ready(running).status == 200
            listing = json.loads(ask(running.api_url, "GET", "/v1/models").body)
            assert listing["data"][0]["sidecar"]["identity"] == f"vllm stub at {server.url}"
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (fault(500), "answers HTTP 500"),
        (fault(429, retry_after="60"), "is busy (HTTP 429)"),
        (fault(200, b"<html>"), "answers with no JSON"),
        (fault(200, scores(1.0)), "99 of 100 passages have no score"),
        (fault(200, scores(*[1e308 * 10] * 100)), "as NaN or infinity"),
        (fault(403, b"no"), "refuses the key"),
        (lambda _: None, "can't be reached"),
        (lambda _: time.sleep(1.0), "did not answer within"),
    ],
)
@pytest.mark.parametrize("on_failure", ["first-stage", "error"])
def test_a_server_that_fails_costs_the_order_and_nothing_else(upstream, broken, reason, on_failure):
    with remote_stub("vllm") as server, served(upstream.url, model=server.url, **PATIENT) as running:
        server.faults = [broken] * 1000
        # What fails in passing is repeated until the deadline; the others fail at once, also on a busy machine.
        seconds = 5 if "JSON" in reason or "score" in reason or "NaN" in reason or "key" in reason else 0.5
        answer = running.search("docs", body(rerank={"timeout_ms": int(1000 * seconds), "on_failure": on_failure}))
        status, told = outcome(answer)
        assert status == "failed"
        assert reason in told
        if on_failure == "error":
            assert answer.status == 503
        else:
            assert (answer.status, ids(answer)) == (200, FIRST_STAGE)
        server.faults = []
        until(lambda: outcome(running.search("docs", body("afterwards")))[0] == "applied", seconds=20)


def test_what_one_replica_loses_the_other_scores(upstream):
    with (
        remote_stub("vllm") as one,
        remote_stub("vllm") as two,
        served(upstream.url, model=f"{one.url},{two.url}", score_cache=0, **PATIENT) as running,
    ):
        one.faults = [fault(500)] * 10_000
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda i: running.search("docs", body(f"q {i}")), range(64)))
        assert {outcome(answer) for answer in answers} == {("applied", "")}
        assert {tuple(ids(answer)) for answer in answers} == {tuple(MODEL_ORDER)}


def test_a_remote_model_that_fails_leaves_the_local_one_alone(upstream):
    with remote_stub("vllm") as server:
        models = {"far": server.url}
        with served(upstream.url, model="m", models=models, breaker_failures=2, breaker_seconds=60) as running:
            assert ids(running.search("docs", body(rerank={"model": "far"}))) == MODEL_ORDER
            server.faults = [fault(500)] * 1000
            for number in range(4):
                far = running.search("docs", body(f"far {number}", rerank={"model": "far", "timeout_ms": 1000}))
                assert outcome(far)[0] == "failed"
                near = running.search("docs", body(f"near {number}", rerank={"model": "m"}))
                assert (outcome(near), ids(near)) == (("applied", ""), MODEL_ORDER)
            assert "not asked for a while" in outcome(far)[1]


def test_the_key_of_the_default_goes_to_no_other_server(upstream):
    with remote_stub("vllm") as one, remote_stub("vllm") as two:
        settings = {"model": one.url, "models": {"other": two.url}, "remote_api_key": "s3cret"}
        with served(upstream.url, **settings) as running:
            running.search("docs", body())
            running.search("docs", body(rerank={"model": "other"}))
        assert one.asked[0][1]["authorization"] == "Bearer s3cret"
        assert "authorization" not in two.asked[0][1]


def test_another_model_at_the_server_is_not_taken_for_the_one_before(upstream):
    with remote_stub("vllm") as server, served(upstream.url, model=server.url, api_key="key") as running:
        running.search("docs", body())
        running.search("docs", body())
        assert len(server.asked) == 1, "the second time the scores are remembered"
        server.model = "another"
        headers = {"authorization": "Bearer key"}
        reloaded = running.ask("POST", "/_sidecar/models/remote/reload", headers=headers)
        assert json.loads(reloaded.body) == {"model": "remote", "identity": f"vllm another at {server.url}"}
        running.search("docs", body())
        assert len(server.asked) == 2
        assert server.asked[1][2]["model"] == "another"


def test_a_sidecar_scores_for_a_sidecar(upstream):
    with served(upstream.url, model="m") as far, served(upstream.url, model=far.api_url) as near:
        mine, theirs = (
            running.search("docs", body("fox", rerank={"explain": True}, size=100)) for running in (near, far)
        )
        assert outcome(mine) == outcome(theirs) == ("applied", "")
        for here, there in zip(mine.json()["hits"]["hits"], theirs.json()["hits"]["hits"], strict=True):
            assert (here["_id"], here["_score"]) == (there["_id"], there["_score"])


def test_a_server_that_is_not_there_yet_is_waited_for(monkeypatch):
    monkeypatch.setattr("sidecar.serving.scorer.remote_client.RETRY_SECONDS", 0.01)
    [port] = free_ports(1)

    async def test():
        client = RemoteScorerClient({"far": ModelSpec(model=f"http://127.0.0.1:{port}")})
        starting = asyncio.create_task(client.start())
        while "can't be reached" not in client.why_not_ready:  # noqa: ASYNC110  there is no event for it
            await asyncio.sleep(0.01)
        with pytest.raises(ScorerUnavailable, match="can't be reached"):
            await client.score("far", "query", [Passage("", "1")], Terms(1))
        with remote_stub("vllm", port=port):
            await starting
            assert client.ready
            found = await client.score("far", "query", [Passage("", "1")], Terms(5))
            await client.stop()
        return found

    assert asyncio.run(test()) == [Score(1.0)]


def with_client(test, server, **options):
    async def run():
        models = {"far": ModelSpec(model=server.url, remote=Remote(**options))}
        client = RemoteScorerClient(models, slice_seconds=0.001)
        await client.start()
        try:
            return await test(client)
        finally:
            await client.stop()

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_callers_take_turns_at_a_server():
    passages = [Passage("", f"{i} " + "word " * 200) for i in range(20)]

    async def test(client):
        order = []

        async def ask(caller, number):
            scores = await client.score("far", f"{caller} {number}", passages, Terms(60, caller=caller))
            assert scores == [Score(float(i)) for i in range(20)]
            order.append(caller)

        await asyncio.gather(*(ask("greedy", i) for i in range(20)), *(ask("modest", i) for i in range(2)))
        return order, client.waiting_passages, dict(client.admission.waiting)

    with remote_stub("vllm", seconds=0.02) as server:
        order, waiting, tokens = with_client(test, server, concurrency=2)
        assert server.most_at_once == 2
    assert max(at for at, caller in enumerate(order) if caller == "modest") < 8
    assert (len(order), waiting, tokens) == (22, 0, {})


def test_a_turn_that_would_come_too_late_is_refused_at_once():
    passages = [Passage("", f"{i} " + "word " * 200) for i in range(20)]

    async def test(client):
        await client.score("far", "first", passages, Terms(60))
        waiting = [asyncio.create_task(client.score("far", f"q {i}", passages, Terms(60))) for i in range(8)]
        await asyncio.sleep(0)
        with pytest.raises(ScorerBusy, match=r"160 passages wait to be scored already, \d\.\d s of work"):
            await client.score("far", "late", passages, Terms(0.3))
        return [await one for one in waiting]

    with remote_stub("vllm", seconds=0.1) as server:
        found = with_client(test, server, concurrency=1)
        assert len(server.asked) == 9
    assert found == [[Score(float(i)) for i in range(20)]] * 8


def test_a_changed_model_is_noticed_without_a_request(monkeypatch):
    monkeypatch.setattr("sidecar.serving.scorer.remote_client.REFRESH_SECONDS", 0.01)

    async def test(server):
        client = RemoteScorerClient({"far": ModelSpec(model=server.url)})
        await client.start()
        server.model = "another"
        while client.identity("far") != f"vllm another at {server.url}":  # noqa: ASYNC110  there is no event for it
            await asyncio.sleep(0.01)
        await client.stop()

    with remote_stub("vllm") as server:
        asyncio.run(asyncio.wait_for(test(server), 10))


def test_a_model_that_the_server_lacks_ends_the_start(upstream):
    refused = pytest.raises(ModelError, match="has no model 'other'")
    with remote_stub("vllm") as server, refused, served(upstream.url, model=server.url, remote_model="other"):
        pass


def test_settings_of_a_local_model_are_refused(upstream):
    refused = pytest.raises(ConfigurationError, match="device: only a model on this machine")
    with refused, served(upstream.url, model="http://127.0.0.1:9", device="cpu"):
        pass
