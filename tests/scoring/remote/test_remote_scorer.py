"""A remote scorer against servers that answer rightly, wrongly, late and not at all."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager

import pytest

from sidecar.cli.doctor_checks import check_model
from sidecar.core.candidates import Passage
from sidecar.core.errors import (
    ConfigurationError,
    ModelError,
    NonFiniteScore,
    ScorerBusy,
    ScorerUnavailable,
    ScoringError,
)
from sidecar.core.fusion import Method
from sidecar.core.model_spec import ModelSpec, Remote
from sidecar.core.token_counts import total_tokens
from sidecar.scoring.fingerprint import content_digest
from sidecar.scoring.loading import load, load_scorer
from sidecar.scoring.remote.dialects import DIALECTS
from sidecar.scoring.remote.server_info import check_addresses
from sidecar.settings import Settings
from tests.support.servers.remote_stub import remote_stub

PASSAGES = [Passage("title", f"text {number}") for number in (0.25, 0.5, 0.125)] + [Passage("", "0.75")]
SCORES = [0.25, 0.5, 0.125, 0.75]


@contextmanager
def connected(*servers, model="stub", **remote):
    """A scorer of these servers."""
    spec = ModelSpec(model=",".join(server.url for server in servers), remote=Remote(model=model, **remote))
    scorer = load(spec)
    try:
        yield scorer
    finally:
        scorer.close()


def values(scorer, passages=PASSAGES):
    return [score.value for score in scorer.score("query", passages)]


def answers(status, body=b"", **headers):
    """A fault: this answer, whatever the request."""
    return lambda _: (status, {name.replace("_", "-"): str(value) for name, value in headers.items()}, body)


def says(answer):
    return answers(200, json.dumps(answer).encode())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_scores_come_back_in_the_order_of_the_passages(dialect):
    with remote_stub(dialect) as server, connected(server, dialect=dialect) as scorer:
        assert values(scorer) == SCORES
        assert scorer.engine_name == f"remote {dialect}"
        assert server.asked[0][0] == DIALECTS[dialect].path


RESULTS = [{"index": i, "relevance_score": value} for i, value in enumerate(SCORES)]
LISTED = {
    "tei": [{"index": i, "score": value} for i, value in enumerate(SCORES)],
    "nim": {"rankings": [{"index": i, "logit": value} for i, value in enumerate(SCORES)]},
    "vllm-score": {"data": [{"index": i, "score": value} for i, value in enumerate(SCORES)]},
    "voyage": {"data": RESULTS},
}


@pytest.mark.parametrize(
    ("dialect", "told", "headers", "expected"),
    [
        ("sidecar", {"meta": {"tokens": {"input_tokens": 40}}}, {}, 40),
        ("sidecar", {"usage": {"total_tokens": 0}}, {}, None),
        ("tei", None, {"x_compute_tokens": "40"}, 40),
        ("tei", None, {"x_compute_tokens": "-40"}, None),
        ("vllm", {"usage": {"total_tokens": 40}}, {}, 40),
        ("vllm-score", {"usage": {"total_tokens": 40}}, {}, 40),
        ("vllm", {"usage": {"total_tokens": True}}, {}, None),
        ("vllm", {"usage": None}, {}, None),
        ("infinity", {"usage": {"total_tokens": 40}}, {}, None),  # it counts characters
        ("nim", {"usage": {"total_tokens": 40}}, {}, 40),
        ("cohere", {"meta": {"billed_units": {"search_units": 1}}}, {}, None),
        ("cohere", {"meta": {"billed_units": {"search_units": 1, "input_tokens": 40}}}, {}, 40),
        ("jina", {"usage": {"total_tokens": 40}}, {}, 40),
        ("voyage", {"usage": {"total_tokens": 40}}, {}, 40),
    ],
)
def test_tokens_are_those_that_the_server_tells(dialect, told, headers, expected):
    answer = LISTED.get(dialect, {"results": RESULTS})
    with remote_stub(dialect) as server, connected(server, dialect=dialect) as scorer:
        server.faults = [answers(200, json.dumps(answer if told is None else answer | told).encode(), **headers)]
        assert total_tokens(scorer.score("query", PASSAGES)) == expected


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (
            "sidecar",
            {
                "model": "stub",
                "query": "q",
                "documents": [{"title": "a", "text": "b 1"}, {"title": "", "text": "2"}],
                "rank_fields": ["title", "text"],
                "raw_scores": True,
            },
        ),
        ("tei", {"query": "q", "texts": ["a b 1", "2"], "raw_scores": True, "truncate": True}),
        ("vllm", {"model": "stub", "query": "q", "documents": ["a b 1", "2"]}),
        ("vllm-score", {"model": "stub", "text_1": "q", "text_2": ["a b 1", "2"]}),
        ("infinity", {"model": "stub", "query": "q", "documents": ["a b 1", "2"], "raw_scores": True}),
        (
            "nim",
            {
                "model": "stub",
                "query": {"text": "q"},
                "passages": [{"text": "a b 1"}, {"text": "2"}],
                "truncate": "END",
            },
        ),
        ("cohere", {"model": "stub", "query": "q", "documents": ["a b 1", "2"], "top_n": 2}),
        (
            "jina",
            {"model": "stub", "query": "q", "documents": ["a b 1", "2"], "top_n": 2, "return_documents": False},
        ),
        ("voyage", {"model": "stub", "query": "q", "documents": ["a b 1", "2"], "truncation": True}),
    ],
)
def test_requests_are_written_as_each_api_has_them(dialect, expected):
    with remote_stub(dialect) as server, connected(server, dialect=dialect) as scorer:
        scorer.score("q", [Passage("a", "b 1"), Passage("", "2")])
        assert server.asked[0][2] == expected


@pytest.mark.parametrize("dialect", ["sidecar", "tei", "vllm", "infinity"])
def test_the_api_is_found_out(dialect):
    with remote_stub(dialect) as server, connected(server, model=None) as scorer:
        assert scorer.engine_name == f"remote {dialect}"
        assert values(scorer) == SCORES


def test_an_unknown_api_has_to_be_named():
    with remote_stub("cohere") as server, pytest.raises(ModelError, match="does not tell which rerank API") as caught:
        load_scorer(server.url)
    assert "SIDECAR_REMOTE_DIALECT" in caught.value.remedy


def test_what_a_sidecar_tells_of_its_model_is_used():
    told = {
        "identity": "abc",
        "mapping": {"a": 2.0, "b": -1.0, "calibrated": True, "cosine": False, "relevance": False},
        "fusion": {"method": "linear", "normalization": "z_score", "weight": 0.7},
        "max_length": 77,
    }
    with remote_stub("sidecar", info=told) as server, connected(server, model=None) as scorer:
        assert (scorer.identity, scorer.manifest.max_length) == ("sidecar abc", 77)
        assert (scorer.mapping.a, scorer.mapping.calibrated) == (2.0, True)
        fusion = scorer.manifest.preferred_fusion
        assert (fusion.method, fusion.weight) == (Method.LINEAR, 0.7)


@pytest.mark.parametrize(
    "wrong",
    [{"max_length": None}, {"fusion": {"method": "newest"}}, {"fusion": {"weight": 7.0}}, {"mapping": []}],
)
def test_a_sidecar_of_another_version_that_can_not_be_read_is_refused(wrong):
    told = {"identity": "abc", "mapping": {"a": 2.0}, "fusion": {}, "max_length": 77} | wrong
    with remote_stub("sidecar", info=told) as server, pytest.raises(ModelError) as caught:
        load_scorer(server.url)
    assert f"{server.url} tells of its model what can't be read: " in caught.value.message
    assert caught.value.remedy == "Run the same version of rerank-sidecar on both sides."


def test_relevance_scores_are_not_squeezed_again():
    with remote_stub("vllm") as server, connected(server) as scorer:
        assert [scorer.mapping(value) for value in (0.0, 0.25, 1.0)] == [0.0, 0.25, 1.0]


def test_batches_keep_to_what_the_server_takes():
    passages = [Passage("", str(number)) for number in range(70)]
    with remote_stub("tei", batch=32) as server, connected(server, model=None) as scorer:
        assert values(scorer, passages) == [float(number) for number in range(70)]
        assert sorted(len(body["texts"]) for _, _, body in server.asked) == [6, 32, 32]


def test_a_batch_that_is_too_large_is_divided():
    passages = [Passage("", str(number)) for number in range(70)]
    with remote_stub("vllm", batch=20) as server, connected(server) as scorer:
        assert values(scorer, passages) == [float(number) for number in range(70)]
        asked = len(server.asked)
        assert values(scorer, passages) == [float(number) for number in range(70)]
        assert len(server.asked) - asked == 5, "the limit is remembered: 70 by 17"


def test_the_key_is_sent_to_the_server_and_told_nowhere():
    with remote_stub("vllm") as server, connected(server, api_key="s3cret") as scorer:
        assert values(scorer) == SCORES
        assert server.asked[0][1]["authorization"] == "Bearer s3cret"
        server.faults = [answers(400, b"the key s3cret has no credit")]
        with pytest.raises(ScoringError, match=r"the key \*\*\* has no credit"):
            values(scorer)
    assert "s3cret" not in repr(Remote(api_key="s3cret"))
    assert "s3cret" not in repr(ModelSpec(model="http://host", remote=Remote(api_key="s3cret")))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (says({"results": []}), "4 of 4 passages have no score"),
        (says({"results": [{"index": 0, "relevance_score": 1.0}] * 4}), "passage 0 is scored twice"),
        (says({"results": [{"index": 4, "relevance_score": 1.0}]}), "is not the score of one of 4 passages"),
        (says({"results": [{"index": -1, "relevance_score": 1.0}]}), "is not the score of one of 4 passages"),
        (says({"results": [{"index": True, "relevance_score": 1.0}]}), "is not the score of one of 4 passages"),
        (says({"results": [{"index": 0, "relevance_score": "1"}]}), "is not the score of one of 4 passages"),
        (says({"results": [{"index": 0, "relevance_score": None}]}), "is not the score of one of 4 passages"),
        (says({"results": "none"}), "'results' is not a list of scores"),
        (says([]), "'results' is not a list of scores"),
        (says({"detail": "no"}), "'results' is not a list of scores"),
        (answers(200, b"<html>Sign in</html>"), "answers with no JSON: '<html>Sign in</html>'"),
        (answers(200, b""), "answers with no JSON"),
        (answers(200, b"[" * 100_000), "answers with no JSON"),
        (answers(302, b"", location="http://127.0.0.1:9/"), "HTTP 302"),
        (answers(400, b'{"error": "bad"}'), "refuses the request (HTTP 400)"),
        (answers(404, b"no"), "refuses the request (HTTP 404)"),
        (answers(401, b"no"), "refuses the key"),
    ],
)
def test_an_unusable_answer_is_an_error(answer, told):
    with remote_stub("vllm") as server, connected(server) as scorer:
        server.faults = [answer]
        with pytest.raises(ScoringError) as caught:
            values(scorer)
        assert told in caught.value.message
        assert values(scorer) == SCORES


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "9" * 400])
def test_scores_that_are_not_finite_are_refused(value):
    body = b'{"results": [{"index": 0, "relevance_score": %s}]}' % value.encode()
    with remote_stub("vllm") as server, connected(server) as scorer:
        server.faults = [answers(200, body)]
        with pytest.raises(NonFiniteScore):
            values(scorer, PASSAGES[:1])


def test_an_answer_without_end_is_cut_off(monkeypatch):
    monkeypatch.setattr("sidecar.scoring.remote.transport.LARGEST_ANSWER", 1000)
    with remote_stub("vllm") as server, connected(server) as scorer:
        server.faults = [answers(200, b"[" + b" " * 5000)]
        with pytest.raises(ScoringError, match="more than 1000 bytes"):
            values(scorer)


@pytest.mark.parametrize(
    "fault", [answers(503), answers(500), answers(502), answers(429, retry_after=0), lambda _: None]
)
def test_an_attempt_that_fails_in_passing_is_repeated(fault):
    with remote_stub("vllm") as server, connected(server) as scorer:
        server.faults = [fault, fault]
        assert values(scorer) == SCORES
        assert len(server.asked) == 3


def test_retry_after_is_kept():
    with remote_stub("vllm") as server, connected(server) as scorer:
        server.faults = [answers(429, retry_after=1)]
        started = time.monotonic()
        assert values(scorer) == SCORES
        assert time.monotonic() - started >= 1


def test_a_server_that_stays_busy_is_busy():
    with remote_stub("vllm") as server, connected(server, timeout=1.0) as scorer:
        server.faults = [answers(429, retry_after=60)]
        with pytest.raises(ScorerBusy, match="is busy"):
            values(scorer)


def test_a_server_that_hangs_costs_the_deadline_and_no_more():
    with remote_stub("vllm", seconds=1.5) as server, connected(server, timeout=0.4) as scorer:
        started = time.monotonic()
        with pytest.raises(ScorerUnavailable, match="did not answer within"):
            values(scorer)
        assert time.monotonic() - started < 1.4


def test_replicas_share_the_batches():
    passages = [Passage("", str(number)) for number in range(60)]
    with remote_stub("vllm", seconds=0.05) as one, remote_stub("vllm", seconds=0.05) as two:
        with connected(one, two, batch=10) as scorer:
            assert values(scorer, passages) == [float(number) for number in range(60)]
        assert len(one.asked) == len(two.asked) == 3


def test_another_replica_takes_what_one_fails():
    with remote_stub("vllm") as one, remote_stub("vllm") as two, connected(one, two) as scorer:
        one.faults = [answers(500)] * 100
        for _ in range(10):
            assert values(scorer) == SCORES
        assert len(two.asked) == 10
        assert len(one.asked) <= 4, "after three failures it is left alone"


def test_a_replica_that_is_gone_is_replaced_by_the_others():
    with remote_stub("vllm") as one, remote_stub("vllm") as two, connected(one, two) as scorer:
        one.shutdown()
        one.server_close()
        for _ in range(5):
            assert values(scorer) == SCORES


def test_replicas_with_different_models_are_refused():
    different = pytest.raises(ModelError, match="have different models")
    with remote_stub("vllm", model="a") as one, remote_stub("vllm", model="b") as two, different:
        load_scorer(f"{one.url},{two.url}")


def test_a_replica_that_comes_back_with_another_model_is_not_asked():
    with remote_stub("vllm") as one, remote_stub("vllm") as two, connected(one, two, model=None) as scorer:
        one.model = "another"
        one.faults = [answers(500)]
        for _ in range(6):
            assert values(scorer) == SCORES
        assert len(one.asked) == 1


def test_no_server_at_all_is_said():
    with pytest.raises(ScorerUnavailable, match=r"http://127\.0\.0\.1:9 can't be reached"):
        load_scorer("http://127.0.0.1:9")


def test_at_most_so_many_requests_at_once():
    passages = [Passage("", str(number)) for number in range(40)]
    with remote_stub("vllm", seconds=0.02) as server, connected(server, batch=2, concurrency=3) as scorer:
        assert values(scorer, passages) == [float(number) for number in range(40)]
        assert 1 < server.most_at_once <= 3


@pytest.mark.parametrize(
    "url",
    [
        "http://user:s3cret@host:1",
        "https://host/?key=s3cret",
        "https://host/#s3cret",
        "http://",
        "http://host:0",
        "http://host:99999",
        "http://a,ftp://b",
        "http://a,",
    ],
)
def test_a_url_that_is_none_is_refused_and_tells_no_secret(url):
    with pytest.raises(ConfigurationError) as caught:
        load_scorer(url)
    assert "s3cret" not in str(caught.value)


def test_an_endpoint_may_be_given_for_an_address():
    given = "http://a:1/v2/rerank, https://b/team/rerank,http://c/v1/score,http://d/v1/ranking/,http://e/"
    assert check_addresses(given) == ["http://a:1", "https://b/team", "http://c", "http://d", "http://e"]


def test_options_of_a_local_model_are_refused():
    with remote_stub("vllm") as server, pytest.raises(ConfigurationError, match="device, max_length: only a model on"):
        load_scorer(server.url, device="cpu", max_length=64)


def test_reading_sends_ahead():
    with remote_stub("vllm", seconds=0.1) as server, connected(server) as scorer:
        started = time.monotonic()
        tokenized = [scorer.read("query", PASSAGES) for _ in range(5)]
        found = [[score.value for score in scores] for scores in scorer.score_all(tokenized)]
        assert found == [SCORES] * 5
        assert time.monotonic() - started < 0.4, "five times 0.1 s, at once"
        [rest] = scorer.score_all([tokenized[0].part(1, 3)])
        assert [score.value for score in rest] == SCORES[1:3]


def test_doctor_tells_what_the_server_tells():
    with remote_stub("vllm") as server:
        found = check_model(Settings(model=server.url))
        assert found == f"vllm stub at {server.url}, asked by remote vllm"


def test_a_run_is_not_continued_with_another_model_at_the_server():
    with remote_stub("vllm") as server:
        before = content_digest(ModelSpec(model=server.url))
        assert content_digest(ModelSpec(model=server.url)) == before
        server.model = "another"
        assert content_digest(ModelSpec(model=server.url)) != before
