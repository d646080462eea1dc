"""The page of a report and its files: hostile text stays text, and a screen reader can read it."""

from __future__ import annotations

import json
import random
import re
import time
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from sidecar.report import tables
from sidecar.report.page import page
from sidecar.report.report import Request, make_report
from tests.support.report_files import QRELS, write_lists, write_run

HOSTILE = "</style></title><script>alert(1)</script><img src=x onerror=alert(2)>\"' & {{ 7*7 }} $x_1$ \\input{a} | `b`"


class _Page(HTMLParser):
    """Notes the elements of a page, and whether each is closed in order."""

    VOID = frozenset({"meta", "path", "circle"})

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.ids, self.attributes = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def parsed(content: str) -> _Page:
    found = _Page()
    found.feed(content)
    found.close()
    assert found.open == []
    return found


@pytest.fixture
def hostile(tmp_path):
    lists = {"q1": (HOSTILE, [(HOSTILE, 3.0, 2), ("b", 1.0, 1)]), "q2": ("fine", [("c", 1.0, 1)])}
    model = write_lists(tmp_path / "model.jsonl", lists)
    text = model.read_text().replace("Text of b", json.dumps(HOSTILE)[1:-1])
    model.write_text(text)
    first = tmp_path / "first.jsonl"
    hits = [{"docid": "b", "score": 2, "text": HOSTILE}, {"docid": HOSTILE, "score": 1, "text": "x"}]
    first.write_text(json.dumps({"query_id": "q1", "query": HOSTILE, "candidates": hits}) + "\n")
    return Request([first, model], labels=["base", HOSTILE], qrels={"q1": {HOSTILE: 1}}, title=HOSTILE)


def test_hostile_text_stays_text(hostile):
    content = page(make_report(hostile))
    found = parsed(content)
    assert not {"script", "img", "iframe", "object", "link", "form"} & set(found.tags)
    assert [(tag, name) for tag, name, _ in found.attributes if name.startswith("on") or name in {"style", "src"}] == []
    assert {value for _, name, value in found.attributes if name == "href"} <= {f"#{one}" for one in found.ids}
    assert content.count("</style>") == 1
    assert "{{ 7*7 }}" in content


def test_the_policy_allows_the_style_of_the_page_alone(two):
    import base64
    import hashlib

    content = page(make_report(Request(two, qrels=QRELS)))
    [style] = re.findall(r"<style>(.*?)</style>", content, re.DOTALL)
    checksum = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    [policy] = [value for tag, name, value in parsed(content).attributes if (tag, name) == ("meta", "content")][:1]
    assert policy == f"default-src 'none'; style-src 'sha256-{checksum}'; base-uri 'none'; form-action 'none'"
    assert "http:" not in content.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in content
    assert "url(" not in style


def test_hostile_text_in_figures_and_tables(hostile):
    report = make_report(hostile)
    for figure in report.all_figures:
        root = ET.fromstring(figure.as_file())
        assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
            *("svg", "title", "desc", "style", "path", "circle", "text"),
        }
    files = tables.files(report)
    assert r"\textbackslash{}input\{a\}" in files[".tex"]
    assert "\\input" not in files[".tex"]
    assert r"\<script\>" in files[".md"]
    rows = [line for line in files[".md"].splitlines() if line.startswith("| ")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows[:3]}) == 1


def test_a_page_can_be_read_by_a_screen_reader(two):
    content = page(make_report(Request(two, qrels=QRELS)))
    found = parsed(content)
    assert len(found.ids) == len(set(found.ids))
    for landmark in ("header", "nav", "main", "footer"):
        assert found.tags.count(landmark) == 1
    levels = [int(tag[1]) for tag in found.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    assert found.tags.count("table") == found.tags.count("caption")
    scopes = [value for tag, name, value in found.attributes if (tag, name) == ("th", "scope")]
    assert len(scopes) == found.tags.count("th")
    labelled = {one for tag, name, value in found.attributes if name == "aria-labelledby" for one in value.split()}
    assert labelled <= set(found.ids)
    # A drawing is named and described, or hidden where a list beside it says the same.
    drawings = found.tags.count("svg")
    roles = [value for tag, name, value in found.attributes if tag == "svg" and name in {"role", "aria-hidden"}]
    assert len(roles) == drawings
    assert found.tags.count("desc") == roles.count("img")


def test_the_same_files_give_the_same_bytes(two):
    request = Request(two, qrels=QRELS)
    one, other = make_report(request), make_report(request)
    assert page(one) == page(other)
    assert tables.files(one) == tables.files(other)
    assert [figure.as_file() for figure in one.all_figures] == [figure.as_file() for figure in other.all_figures]


def test_ten_runs_of_225_queries_take_seconds_and_two_megabytes(tmp_path):
    random.seed(1)
    docids = [f"document-{number}" for number in range(1400)]
    qrels = {str(qid): {docid: random.choice([0, 1, 2]) for docid in random.sample(docids, 40)} for qid in range(225)}
    lists = {qid: random.sample(docids, 100) for qid in qrels}
    paths = [
        write_run(tmp_path / f"run-{number}", {qid: random.sample(hits, 100) for qid, hits in lists.items()})
        for number in range(9)
    ]
    reranked = {
        qid: (f"the text of query {qid}", [(docid, -float(rank), rank) for rank, docid in enumerate(hits, 1)])
        for qid, hits in lists.items()
    }
    paths.append(write_lists(tmp_path / "reranked.jsonl", reranked, window=100))
    started = time.process_time()
    content = page(make_report(Request(paths, qrels=qrels)))
    assert time.process_time() - started < 30
    assert len(content.encode()) < 2_000_000
