"""Relevant spans of the rerank API, in Cohere's shape: positions in code points, best first, bounded by time."""

from __future__ import annotations

import cohere
import pytest

from sidecar.serving.rerank_api.engine import RequestLimits
from tests.support.servers.api_server import served_api

# The scripted scorer scores a text by the first number in it: sigmoid(0) is 0.5, sigmoid(2) 0.88, sigmoid(-9) 0.0001.
DOCUMENT = "É score 0. Then score 2! Last score -9."
SPANS = [{"start": 11, "end": 24, "score": 0.880797078}, {"start": 0, "end": 10, "score": 0.5}]


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/cohere/v2/rerank"])
def test_the_best_sentences_of_the_returned_documents_come_first(api, path):
    asked = {"query": "q", "documents": [DOCUMENT, "score -20."], "relevant_spans": {"mode": "enabled"}}
    first, second = api.post(path, asked).json()["results"]
    assert first["relevant_spans"] == SPANS
    assert [DOCUMENT[one["start"] : one["end"]] for one in SPANS] == ["Then score 2!", "É score 0."]
    assert "relevant_spans" not in second  # it has none above the threshold of 0.1
    few = api.post(path, asked | {"relevant_spans": {"mode": "enabled", "max_spans": 1, "threshold": 0.6}, "top_n": 1})
    assert [one["relevant_spans"] for one in few.json()["results"]] == [SPANS[:1]]
    off = api.post(path, asked | {"relevant_spans": {"mode": "disabled"}}).json()["results"]
    assert "relevant_spans" not in off[0]


def test_coheres_own_client_reads_them(api):
    with cohere.ClientV2(api_key="x", base_url=api.url + "/cohere") as client:
        wanted = cohere.RerankRelevantSpans(mode="enabled", threshold=0.1, max_spans=3)
        answer = client.rerank(query="q", documents=[DOCUMENT], model="m", relevant_spans=wanted)
    assert [(one.start, one.end) for one in answer.results[0].relevant_spans] == [(11, 24), (0, 10)]


def test_tokens_of_the_sentences_are_counted(api):
    asked = {"query": "tokens", "documents": ["score 1. Score 2."]}
    assert api.post("/v1/rerank", asked).json()["usage"]["total_tokens"] == 5
    spans = api.post("/v1/rerank", asked | {"relevant_spans": {"mode": "enabled"}}).json()
    assert spans["usage"]["total_tokens"] == 5 + 3 + 3


@pytest.mark.parametrize(
    "wrong",
    [{}, {"mode": "on"}, {"mode": "enabled", "max_spans": 0}, {"mode": "enabled", "threshold": 2}, [], "enabled"],
)
def test_what_makes_no_sense_is_refused(api, wrong):
    answer = api.post("/v1/rerank", {"query": "q", "documents": ["a"], "relevant_spans": wrong})
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("relevant_spans")


@pytest.mark.parametrize("document", [" ", "\ud800.", "e\u0301." * 50, "x" * 20_000, "שלום. " * 500, "." * 5000])
def test_odd_documents_have_spans_of_their_own_or_none(api, document):
    text = document.replace("\ud800", "\ufffd")
    asked = {"query": "odd", "documents": [text], "relevant_spans": {"mode": "enabled", "threshold": 0}}
    [one] = api.post("/v1/rerank", asked).json()["results"]
    for span in one.get("relevant_spans", []):
        assert 0 <= span["start"] < span["end"] <= len(text)
        assert text[span["start"] : span["end"]].strip()


def test_if_time_is_short_the_ranking_comes_without_spans_and_says_so():
    # The passage alone takes 100 ms, each of its sentences as long.
    document = "score 1 sleep 100. " + "Score 2 sleep 100. " * 40
    with served_api(limits=RequestLimits(seconds=1.5)) as running:
        asked = {"query": "short", "documents": [document], "relevant_spans": {"mode": "enabled"}}
        answer = running.post("/v1/rerank", asked)
    assert answer.status_code == 200
    assert "relevant_spans" not in answer.json()["results"][0]
    assert answer.json()["meta"]["warnings"] == [
        "1 results have no spans: not all their sentences could be scored in time"
    ]
