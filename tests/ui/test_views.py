"""Query sets, runs, shadow logs, copies, and the state of the service."""

from __future__ import annotations

import gzip
import json
import shlex
import subprocess

import pytest

from tests.support.servers.served import served
from tests.support.servers.stub import Stub
from tests.support.ui.library import library

RUN = "7 Q0 d1 1 9.0 a\n7 Q0 d2 2 8.0 a\n8 Q0 d3 1 5.0 a\n8 Q0 d4 2 4.0 a\n"
OTHER = "7 Q0 d1 1 9.0 b\n7 Q0 d2 2 8.0 b\n8 Q0 d9 1 7.0 b\n8 Q0 d4 2 6.0 b\n"


@pytest.fixture
def files(page):
    page.get_by_role("button", name="Queries and runs").click()
    return page


def open_file(page, label, text, name="file.txt"):
    content = text if isinstance(text, bytes) else text.encode()
    page.get_by_label(label).set_input_files({"name": name, "mimeType": "text/plain", "buffer": content})


@pytest.mark.parametrize(
    "text",
    [
        "7\tquick fox\n8\tlazy dog\n",
        "qid\ttext\n7\tquick fox\r\n8\tlazy dog\r\n",
        '{"_id": "7", "text": "quick fox"}\n{"_id": 8, "text": "lazy dog"}\n',
        gzip.compress(b"7\tquick fox\n8\tlazy dog\n"),
    ],
)
def test_a_query_set_is_stepped_through(files, text):
    open_file(files, "Query set", text)
    files.get_by_role("button", name="quick fox").click()
    files.get_by_text("1 of 2 · 7").wait_for()
    assert files.locator("#query").input_value() == "quick fox"
    files.get_by_role("button", name="Next").click()
    files.get_by_text("2 of 2 · 8").wait_for()
    assert files.locator("#query").input_value() == "lazy dog"
    assert files.get_by_role("button", name="Next").is_disabled()


@pytest.mark.parametrize(
    ("label", "text", "words"),
    [
        ("Query set", "7\tfox\n7\tdog\n", "file.txt, line 2: the id 7 is also on line 1"),
        ("Query set", "7\tfox\n8 9\tdog\n", "file.txt, line 2: the id is empty or has white space"),
        ("Query set", '{"_id": "1", "text": "a"}\n{"_id": "2"}\n', "file.txt, line 2: no id, or no text"),
        ("Query set", "", "file.txt holds no query."),
        ("Query set", b"\xff\xfe7\x00", "file.txt can't be read: it is neither UTF-8 nor gzip of it"),
        ("Add qrels", "7 0 d1 high\n", "file.txt holds no judgement."),
        ("Add qrels", "7 0 d1 1\n7 0 d1 2\n", "file.txt, line 2: d1 has two grades for 7"),
        ("Add qrels", "7\tdoc 1\t2\n", "file.txt, line 1: not qid 0 docid grade"),
        ("Add qrels", "7 0 d1 0.7\n", "file.txt, line 1: the grade 0.7 is no whole number"),
        ("First run", "7 Q0 d1 1 a\n", "file.txt, line 1: not qid Q0 docid rank score tag"),
        ("First run", "7 Q0 d1 1 nan a\n", "file.txt, line 1: not qid Q0 docid rank score tag"),
        ("Shadow log", "{}\n", "file.txt, line 1: no shadow record"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(files, label, text, words):
    open_file(files, label, text)
    files.locator("#view-files").get_by_text(words).wait_for()


def test_qrels_of_a_query_set_count(files):
    open_file(files, "Add qrels", "7 0 d1 2\n")
    files.get_by_text("1 judgements are of queries that are not in the query set.").wait_for()
    open_file(files, "Query set", "7\tfox\n")
    open_file(files, "Add qrels", "7 0 d1 2.0\n")
    files.get_by_text("1 judgement of 1 query").wait_for()
    files.get_by_role("button", name="fox").click()
    files.locator(".right .measure").get_by_text("nDCG@10 1.0000 · 1 of 10 judged").wait_for()


def test_the_biggest_changes_of_two_runs_come_first(files):
    open_file(files, "Query set", "7\tquick fox\n8\tlazy dog\n")
    open_file(files, "First run", RUN)
    open_file(files, "Second run", OTHER)
    rows = files.locator("#view-files table").nth(1).locator("tbody tr")
    rows.first.wait_for()
    assert [rows.nth(i).locator("td").all_text_contents() for i in range(2)] == [
        ["lazy dog", "50%", "d9: not found → 1", "–"],
        ["quick fox", "100%", "d1: 1 → 1", "–"],
    ]
    rows.first.get_by_role("button").click()
    files.wait_for_selector(".right .hit")
    assert files.locator("#query").input_value() == "lazy dog"


def test_a_shadow_log_is_walked_through(files):
    record = {"time": "t", "qid": "ab", "index": "docs", "rule": "r", "model": "m", "status": "applied", "ms": {}}
    moves = [{"docid": "b", "first_stage_rank": 2, "rank": 1, "score": 1.0}]
    whole = record | {"first_stage": ["a", "b"], "reranked": ["b", "a"], "moves": moves, "query": "the fox"}
    open_file(files, "Shadow log", f"{json.dumps(whole)}\n{json.dumps(record | {'status': 'failed'})}\n")
    files.get_by_text("1 records, and 1 that were not reranked.").wait_for()
    files.get_by_role("button", name="the fox").click()
    files.wait_for_selector(".right .hit")
    assert files.locator("#query").input_value() == "the fox"


def test_the_copied_requests_work(page, service):
    page.locator(".side.right select").nth(1).select_option("linear")
    page.get_by_text("Use this search elsewhere").click()
    page.locator("#copies .code", has_text='"ext"').wait_for()
    body = json.loads(page.locator("#copies pre").first.inner_text())
    assert body["ext"] == {
        "rerank": {"model": "e5-small", "fusion": {"method": "linear", "normalization": "min_max"}, "window": 100}
    }
    assert [hit["_id"] for hit in service.search("docs", body).json()["hits"]["hits"]] == page.locator(
        ".right .docid"
    ).all_text_contents()
    page.locator("#copy-kind").select_option("curl, /v1/compare")
    words = shlex.split(page.locator("#copies pre").first.inner_text().replace("\\\n", " "))
    done = subprocess.run([*words, "-s"], capture_output=True, check=True, timeout=30)
    (ranking,) = json.loads(done.stdout)["rankings"]
    assert (ranking["status"], ranking["fusion"]["method"]) == ("applied", "linear")
    page.locator("#copy-kind").select_option("Python")
    compile(page.locator("#copies pre").first.inner_text(), "copied", "exec")


def test_the_raw_responses_keep_their_numbers(page):
    page.get_by_text("Raw responses, in both orders").click()
    page.locator(".raws section").first.wait_for()
    first, second = page.locator(".raws pre").all_text_contents()
    assert '"max_score": 20.0' in first
    assert second.index('"d1"') < second.index('"d0"')


def test_the_state_of_the_service(page):
    page.get_by_role("button", name="Status").click()
    page.get_by_role("heading", name="Models").wait_for()
    told = page.locator("#view-status").inner_text()
    assert "e5-small" in told
    assert page.get_by_role("button", name="Reload e5-small").is_disabled()


def test_a_model_is_reloaded_with_the_key(open_page):
    with Stub(library) as stub, served(stub.url, api_key="s3cret") as service:
        page = open_page(f"{service.api_url}/ui?view=status")
        page.fill("#key", "s3cret")
        page.press("#key", "Enter")
        page.get_by_role("button", name="Reload e5-small").click()
        page.get_by_text("e5-small is served as it is on disk now.").wait_for()
