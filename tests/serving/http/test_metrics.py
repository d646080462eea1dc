"""Metrics say what happened in few series, whatever requests bring."""

from __future__ import annotations

import copy
import json
import logging
import re
from pathlib import Path

import pytest
import yaml

from sidecar.core.reasons import Reason, Why
from sidecar.serving.http.metrics import Metrics
from sidecar.serving.scorer.service import Status
from tests.support.servers.hits import answer as hit_answer
from tests.support.servers.hits import opensearch
from tests.support.servers.metrics import fallbacks, series
from tests.support.servers.searches import JSON, body, outcome
from tests.support.servers.served import served
from tests.support.servers.stub import Stub


@pytest.fixture
def service(upstream):
    with served(upstream.url) as running:
        yield running


def test_a_label_never_holds_what_a_request_brought(service):
    made = json.dumps(body()).encode()
    for i in range(40):
        answer = service.ask("POST", "/docs/_search", made, {"content-type": f"a{i} RANDOM{i} b/c{i}"})
        assert outcome(answer) == ("skipped", f"the body is a{i} random{i} b/c{i}, not JSON")
        assert outcome(service.search(f"docs{i}", body(f"fail {i}")))[0] == "failed"
    assert fallbacks(service) == {"not_json": 40.0, "scoring_failed": 40.0}
    assert not any("RANDOM" in one.upper() for one in series(service))


@pytest.mark.parametrize(
    ("query", "more", "reason"),
    [
        ("fox sleep 3000", {"rerank": {"timeout_ms": 100}}, "too_slow"),
        ("nan", {}, "scoring_failed"),
        ("fox", {"sort": ["price"]}, "own_order"),
        ("fox", {"size": 0}, "no_hits"),
        ("fox", {"size": -1}, "malformed"),
        ("", {}, "no_query_text"),
        ("broken", {}, "search_refused"),
    ],
)
def test_each_reason_has_its_code(service, query, more, reason):
    service.search("docs", body(query, **more))
    assert fallbacks(service) == {reason: 1.0}


def test_several_searches_are_counted_each(service):
    searches = [body("fox"), body("hound"), body("fail"), body("fox", rerank=False)]
    lines = b"".join(b"{}\n" + json.dumps(one).encode() + b"\n" for one in searches)
    assert service.ask("POST", "/docs/_msearch", lines, JSON).status == 200
    found = {one: value for one, value in series(service).items() if one.startswith("sidecar_reranks_total")}
    assert {re.search('status="([a-z]+)"', one)[1]: value for one, value in found.items()} == {
        "applied": "2.0",
        "failed": "1.0",
    }
    assert fallbacks(service) == {"scoring_failed": 1.0}


def test_a_reason_is_words_with_a_code():
    why = Why(Reason.NO_HITS, "there are no hits")
    assert (why, why.reason, str(copy.deepcopy(why)), copy.copy(why).reason) == (
        "there are no hits",
        Reason.NO_HITS,
        "there are no hits",
        Reason.NO_HITS,
    )


def test_what_was_reranked_is_counted_by_model_and_rule(upstream):
    rules = [{"index": "docs-*", "model": "other"}]
    with served(upstream.url, rules=rules, models={"other": "e5-small"}) as running:
        running.search("docs-1", body(rerank=False))
        running.search("docs-2", body())
        running.search("elsewhere", body())
        running.search("elsewhere", body("fail"))
        found = series(running)
    labels = 'sidecar_reranks_total{{api="opensearch",model="{}",rule="{}",status="{}"}}'
    assert found[labels.format("other", "docs-*", "applied")] == "2.0"
    assert found[labels.format("e5-small", "", "applied")] == "1.0"
    assert found[labels.format("e5-small", "", "failed")] == "1.0"
    assert 'sidecar_stage_seconds_count{api="opensearch",stage="fetch"}' in found


def test_what_opensearch_said_is_for_the_searchs_sender_alone(caplog):
    refusal = hit_answer(400, '{"error":{"root_cause":[{"type":"x","reason":"bad [secret words]"}]},"status":400}')
    window = b'"size":100'
    with Stub(lambda request: refusal if window in request else opensearch(request)) as stub:
        caplog.set_level(logging.INFO, "sidecar.access")
        with served(stub.url) as running:
            status, words = outcome(running.search("docs", body()))
    assert (status, "secret words" in words) == ("skipped", True)
    logged = [record.said for record in caplog.records if record.name == "sidecar.access"]
    assert logged[0]["reason"] == "window_refused"
    assert "secret" not in json.dumps(logged)


ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
COLLECTORS = list(Metrics().registry._collector_to_names)
BOARD = json.loads((ROOT / "docker" / "grafana" / "rerank-sidecar.json").read_text(encoding="utf-8"))
ALERTS = yaml.safe_load((ROOT / "docker" / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))


def named(collector):
    return collector._name + ("_total" if collector._type == "counter" else "")


def sampled():
    """Every name under which Prometheus keeps samples, and the labels they have."""
    ends = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    return {one._name + end: {*one._labelnames} for one in COLLECTORS for end in ends[one._type]}


def test_every_metric_is_documented_as_it_is():
    rows = {line for line in PAGE.splitlines() if line.startswith("| `sidecar_")}
    assert rows == {
        f"| `{named(one)}` | {one._type} | {', '.join(f'`{label}`' for label in one._labelnames) or 'none'} | "
        f"{one._documentation} |"
        for one in COLLECTORS
    }


def test_every_reason_is_documented():
    table = PAGE.partition("| reason | meaning |")[2]
    assert set(re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE)) == {reason.value for reason in Reason}


def test_every_label_is_documented():
    table = PAGE.partition("| label | values |")[2].partition("\n\n")[0]
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE))
    assert documented | {"reason"} == {label for one in COLLECTORS for label in one._labelnames}


def expressions():
    for panel in BOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for group in ALERTS["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def test_board_and_alerts_ask_for_metrics_that_exist():
    known = sampled()
    for expression in expressions():
        asked = set(re.findall(r"sidecar_\w+", expression))
        assert asked, expression
        assert asked <= known.keys(), expression
        labels = set.union(*(known[name] for name in asked)) | {"instance", "le"}
        used = set(re.findall(r"(\w+)\s*(?:=~|!=|=)\s*\"", expression))
        for by in re.findall(r"by \(([^)]*)\)", expression):
            used |= {name.strip() for name in by.split(",")}
        assert used <= labels, expression


def test_the_board_shows_every_metric():
    shown = {name for expression in expressions() for name in re.findall(r"sidecar_\w+", expression)}
    assert {named(one) for one in COLLECTORS} - {re.sub("_bucket$", "", name) for name in shown} == set()


def test_alerts_name_reasons_and_statuses_that_exist():
    text = " ".join(expressions())
    reasons = {one for found in re.findall(r'reason=~"([^"]+)"', text) for one in found.split("|")}
    assert reasons
    assert reasons <= {reason.value for reason in Reason}
    assert set(re.findall(r'status="([a-z]+)"', text)) <= {status.value for status in Status}
    assert len({rule["alert"] for group in ALERTS["groups"] for rule in group["rules"]}) == 9
