"""A shadow rule's changes are recorded, one line for a search, and tell nothing of its query unasked."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sidecar.core.errors import ConfigurationError
from sidecar.serving.build import parts
from sidecar.settings import Settings
from tests.support.servers.hits import by_model, opensearch
from tests.support.servers.metrics import fallbacks, series
from tests.support.servers.scripted import FAKE
from tests.support.servers.searches import body, ids, outcome
from tests.support.servers.served import served
from tests.support.servers.stub import Stub

RULES = [{"index": "books*", "shadow": True}]


def records(path, count=1):
    deadline = time.monotonic() + 10
    while path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline, path.read_text()
        time.sleep(0.02)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_record_says_what_would_have_changed(upstream, tmp_path):
    path = tmp_path / "shadows.jsonl"
    with served(upstream.url, rules=RULES, shadow_file=path) as running:
        seen = running.search("books-1", body("a secret", rerank=False))
        assert (outcome(seen), ids(seen)) == (("skipped", "the rule only shadows"), [str(i) for i in range(10)])
        (record,) = records(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "secret" not in path.read_text()
    assert {key: record[key] for key in ("index", "rule", "model", "status")} == {
        "index": "books-1",
        "rule": "books*",
        "model": "e5-small",
        "status": "applied",
    }
    assert record["first_stage"] == [str(i) for i in range(10)]
    assert record["reranked"] == by_model()[:10]
    assert record["kept"] == len({*record["first_stage"]} & {*record["reranked"]}) / 10
    moves = [(one["docid"], one["first_stage_rank"], one["rank"]) for one in record["moves"]]
    places = {docid: rank for rank, docid in enumerate(by_model()[:100], 1)}
    expected = sorted(((d, int(d) + 1, r) for d, r in places.items()), key=lambda one: (-abs(one[1] - one[2]), one[2]))
    assert moves == expected[:10]
    assert {*record["ms"]} == {"fetch", "score", "fuse", "total"}
    assert record["ms"]["total"] >= record["ms"]["score"] > 0
    assert not {"query", "reason", "words"} & record.keys()


def test_the_pages_of_a_search_have_one_qid_and_its_text_only_where_that_is_allowed(upstream, tmp_path):
    path = tmp_path / "shadows.jsonl"
    with served(upstream.url, rules=RULES, shadow_file=path, shadow_queries=True) as running:
        for start in (0, 10):
            running.search("books-1", body("the fox", rerank=False, **{"from": start}))
            found = records(path, 1 + start // 10)
        running.search("books-1", body("the hound", rerank=False))
        found = records(path, 3)
    assert [one["query"] for one in found] == ["the fox", "the fox", "the hound"]
    assert found[0]["qid"] == found[1]["qid"] != found[2]["qid"]


def test_searches_with_their_query_in_the_url_have_a_qid_each(upstream, tmp_path):
    path = tmp_path / "shadows.jsonl"
    with served(upstream.url, rules=RULES, shadow_file=path, shadow_queries=True) as running:
        for number, url in enumerate(("q=the+fox", "q=the%20fox&from=10", "q=the+hound"), 1):
            running.ask("GET", f"/books-1/_search?{url}")
            found = records(path, number)
    assert [one["query"] for one in found] == ["the fox", "the fox", "the hound"]
    assert found[0]["qid"] == found[1]["qid"] != found[2]["qid"]


@pytest.mark.parametrize(
    ("query", "reason", "status"),
    [
        ("fail", "scoring_failed", "failed"),
        ("sleep 5000", "too_slow", "failed"),
        ("broken", "search_refused", "skipped"),
    ],
)
def test_a_shadow_that_failed_says_why(upstream, tmp_path, query, reason, status):
    path = tmp_path / "shadows.jsonl"
    with served(upstream.url, rules=RULES, shadow_file=path, budget_ms=300) as running:
        running.search("books-1", body(query, rerank=False))
        (record,) = records(path)
        assert (record["status"], record["reason"]) == (status, reason)
        assert record["words"]
        assert record["ms"]["total"] > 0
        assert fallbacks(running) == {reason: 1.0}
        assert series(running)['sidecar_request_seconds_count{api="shadow",kind="search"}'] == "1.0"


def test_an_opensearch_that_answers_no_shadow_is_a_reason():
    asked = []

    def once(request):
        asked.append(request)
        return opensearch(request) if len(asked) == 1 else [(0, None)]

    with Stub(once) as stub, served(stub.url, rules=RULES) as running:
        assert running.search("books-1", body(rerank=False)).status == 200
        deadline = time.monotonic() + 10
        while not fallbacks(running):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert fallbacks(running) == {"upstream_failed": 1.0}


def test_lines_of_many_searches_are_whole(upstream, tmp_path):
    path = tmp_path / "shadows.jsonl"
    with served(upstream.url, rules=RULES, shadow_file=path) as running, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: running.search("books-1", body(f"fox {i}", rerank=False)), range(40)))
        assert {one["status"] for one in records(path, 40)} == {"applied"}
        path.rename(tmp_path / "moved")
        running.search("books-1", body("another", rerank=False))
        deadline = time.monotonic() + 10
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert len(records(path)) == 1


def test_a_record_that_cant_be_written_is_counted_and_harms_nobody(upstream, tmp_path):
    path = tmp_path / "folder" / "shadows.jsonl"
    path.parent.mkdir()
    with served(upstream.url, rules=RULES, shadow_file=path) as running:
        path.unlink()
        path.parent.rmdir()
        assert running.search("books-1", body(rerank=False)).status == 200
        deadline = time.monotonic() + 10
        while series(running)["sidecar_shadow_lost_total"] != "1.0":
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_file_that_cant_be_written_keeps_it_from_starting(upstream, tmp_path):
    settings = Settings(opensearch_url=upstream.url, shadow_file=tmp_path / "nowhere" / "shadows.jsonl")

    async def start():
        async with parts(settings, FAKE):
            pass

    with pytest.raises(ConfigurationError, match="shadow_file: .*No such file"):
        asyncio.run(start())


def test_a_shadow_rule_changes_nothing_of_several_searches(upstream):
    lines = b"{}\n" + json.dumps(body(rerank=False)).encode() + b"\n"
    with served(upstream.url, rules=RULES) as running:
        found = running.ask("POST", "/books-1/_msearch", lines, {"content-type": "application/json"})
    assert [hit["_id"] for hit in found.json()["responses"][0]["hits"]["hits"]] == [str(i) for i in range(10)]
