"""Nobody acts as another, or learns and decides what is another's business."""

from __future__ import annotations

import json
import random

import pytest

from tests.support.attack.cluster import DOCUMENTS, SHARED
from tests.support.attack.raw_requests import words
from tests.support.attack.scale import SCALE, SEED
from tests.support.servers.scripted import FAKE
from tests.support.servers.served import ask, served
from tests.support.servers.service_process import serving
from tests.support.servers.stub import Stub

pytestmark = [pytest.mark.live, pytest.mark.attack]

INPUTS = 30 * SCALE
JSON = {"Content-Type": "application/json"}
FOX = {"match": {"text": "fox"}}
RERANKED = {
    "query": FOX,
    "size": DOCUMENTS,
    "ext": {"rerank": {"explain": True, "query_context": {"query_text": "fox"}}},
}


@pytest.fixture(scope="module")
def service(cluster, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("rights"), **cluster.settings) as running:
        yield running


def search(running, account, index, body, query=""):
    headers = {"Authorization": account.authorization, **JSON}
    return ask(running.url, "POST", f"/{index}/_search{query}", json.dumps(body).encode(), headers)


def outcome(answer):
    return answer.status, answer.headers.get("x-rerank-status"), answer.headers.get("x-rerank-reason")


PIPELINES = {
    "plain": {"phase_results_processors": []},
    "reranking": {"response_processors": [{"rerank": {"by_field": {"target_field": "n"}}}]},
}
ASKED = [
    "?search_pipeline=plain",
    "?search_pipeline=reranking",
    "?search_pipeline=absent",
    "?search_pipeline=_none",
    "",
]


@pytest.fixture
def pipelines(cluster):
    for name, body in PIPELINES.items():
        cluster.node.ask("PUT", f"_search/pipeline/{name}", body)
    yield
    for name in PIPELINES:
        cluster.node.ask("DELETE", f"_search/pipeline/{name}")


def fresh(cluster):
    """A service that has seen nobody yet."""
    options = cluster.settings
    return served(options["opensearch_url"], (*FAKE, "constant"), opensearch_ca_certs=options["opensearch_ca_certs"])


@pytest.mark.usefixtures("pipelines")
def test_what_a_caller_learns_of_pipelines_depends_on_nobody_else(cluster, report):
    callers = [cluster.accounts[name] for name in ("ada", "mallory", "admin")]
    alone = {}
    for account in callers:
        with fresh(cluster) as running:
            for query in ASKED:
                alone[account.name, query] = outcome(search(running, account, account.index, RERANKED, query))
    asked = 0
    for number in range(SCALE):
        chance = random.Random(f"{SEED}-pipelines-{number}")
        with fresh(cluster) as running:
            for _ in range(30):
                account, query = chance.choice(callers), chance.choice(ASKED)
                found = outcome(search(running, account, account.index, RERANKED, query))
                assert found == alone[account.name, query], (account.name, query)
                asked += 1
    report.add("what is known of pipelines", asked, None, "each caller's outcome as if alone")


TEXTS = [
    "Result window is too large, from + size must be less than or equal to: [{}] but was [100]",
    "Result window is too large, from + size must be less than or equal to: [{}]",
    "illegal_argument_exception: Result window is too large, from + size must be less than or equal to: [{}]",
    '{{"type":"illegal_argument_exception","reason":"Result window is too large, from + size must be less: [{}]"}}',
    "Trying to retrieve too many docvalue_fields. Must be less than or equal to: [{}]",
    "Batch size is too large, size must be less than or equal to: [{}]",
    "search pipeline absent is not defined [{}]",
]
THROWN = ["IllegalArgumentException", "IllegalStateException", "RuntimeException", "ArithmeticException"]


def throwing(chance):
    text = chance.choice(TEXTS).format(chance.choice([1, 2, 5, 50])).replace("\\", "").replace("'", "")
    fails = f"if (doc['n'].value {chance.choice(['>= 0', '== 3', '< 1'])}) "
    source = f"{fails} {{ throw new {chance.choice(THROWN)}('{text}'); }} return 1;"
    script = {"source": source, "lang": "painless"}
    return chance.choice([
        {"query": {"script_score": {"query": FOX, "script": script}}},
        {"query": {"bool": {"must": FOX, "filter": {"script": {"script": script}}}}},
        {"query": FOX, "script_fields": {"x": {"script": script}}},
        {"query": FOX, "aggs": {"a": {"sum": {"script": script}}}},
        {"query": FOX, "rescore": {"window_size": 10, "query": {"rescore_query": {"script_score": {
            "query": FOX, "script": script}}}}},
    ])  # fmt: skip


def test_what_a_script_says_changes_nobodys_window(service, cluster, report):
    ada, mallory = cluster.accounts["ada"], cluster.accounts["mallory"]
    for number in range(INPUTS):
        body = throwing(random.Random(f"{SEED}-scripts-{number}"))
        search(service, mallory, SHARED, {**body, "ext": RERANKED["ext"], "size": 10})
        answer = search(service, ada, SHARED, RERANKED)
        hits = answer.json()["hits"]["hits"]
        ranked = [hit for hit in hits if hit.get("_rerank", {}).get("model_score") is not None or "_rerank" in hit]
        assert (outcome(answer)[:2], len(ranked)) == ((200, "applied"), DOCUMENTS), body
    report.add("text of scripts", INPUTS, None, "the window of the others stayed")


ENDS = words(
    "For User Port Prefix Host Proto Groups Email Roles Server Access-Token Preferred-Username Tls-Client-Cert"
)


def claim(chance):
    """A header that says who asks, under any name of such a family."""
    stem = chance.choice(["X-Forwarded-", "x-forwarded-", "X-Proxy-", "X-FORWARDED-"])
    end = chance.choice([*ENDS, "".join(chance.choices("abcxyz-0", k=6))])
    return chance.choice([stem + end, stem + end, "Forwarded", "X-Real-IP", "X-Opendistro-Security-Tenant-Override"])


def test_no_claim_of_identity_arrives(report):
    with Stub() as stub, served(stub.url) as running:
        for number in range(INPUTS):
            chance = random.Random(f"{SEED}-claims-{number}")
            headers = {claim(chance): "admin" for _ in range(3)}
            running.ask(chance.choice(["GET", "POST"]), "/docs/_search", b"{}", {**headers, **JSON})
            arrived = stub.requests[-1].partition(b"\r\n\r\n")[0].lower()
            assert b"admin" not in arrived, arrived
        report.add("claims of identity", INPUTS, None, "none arrived")


FOREIGN = [
    "https://evil.test",
    "null",
    "http://localhost:8080",
    "http://127.0.0.1.evil.test",
    "file://",
    "http://[::1]:1",
]
# What a page may send anywhere without asking first, and what only resembles the type that it may not.
SIMPLE = [
    *("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""),
    *("text/plain;application/json", "multipart/form-data; boundary=application/json", "TEXT/PLAIN; charset=utf-8"),
]


def test_no_web_page_can_change_how_the_service_runs(service, report):
    for number in range(INPUTS):
        chance = random.Random(f"{SEED}-pages-{number}")
        simple = chance.random() < 0.5
        headers = {"Content-Type": chance.choice(SIMPLE) if simple else "application/json"}
        if not simple or chance.random() < 0.5:
            headers["Origin"] = chance.choice(FOREIGN)
            headers["Sec-Fetch-Site"] = "cross-site"
        body = b'{"enabled": false}'
        ask(service.url, chance.choice(["POST", "POST", "PUT"]), "/_sidecar/rerank", body, headers)
        assert ask(service.url, "GET", "/_sidecar/rerank").json() == {"enabled": True}, headers
    report.add("pages of other origins", INPUTS, None, "nothing was switched")
