"""A generator behind an OpenAI-compatible API, against servers that answer rightly, wrongly, late and not at all."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from math import log

import pytest

from sidecar.core.errors import ConfigurationError, ModelError, ScorerBusy, ScorerUnavailable, ScoringError
from sidecar.core.listwise_spec import ListwiseSpec
from sidecar.core.model_spec import Remote
from sidecar.core.reasons import Reason
from sidecar.listwise.loading import load_listwise
from sidecar.listwise.remote import base_urls
from tests.support.rankings import docids, ranking_of
from tests.support.servers.chat_stub import chat_stub, completion
from tests.support.servers.remote_stub import remote_stub

NUMBERS = [3, 1, 4, 2]
BEST_FIRST = ["d4", "d3", "d2", "d1"]
STAGE_ONE = ["d3", "d1", "d4", "d2"]


@contextmanager
def connected(*servers, fail_open=False, name=None, key=None, timeout=20.0, **options):
    """Stage two by these servers."""
    remote = Remote(model=name, api_key=key, timeout=timeout)
    spec = ListwiseSpec(model=",".join(server.url for server in servers), remote=remote, **options)
    stage = load_listwise(spec, fail_open=fail_open)
    try:
        yield stage
    finally:
        stage.generator.close()


def answers(status, body=b"", **headers):
    """A fault: this answer, whatever the request."""
    return lambda _: (status, {name.replace("_", "-"): str(value) for name, value in headers.items()}, body)


def says(text, **choice):
    return answers(200, json.dumps(completion(text, **choice)).encode())


def test_a_ranking_is_put_in_the_generators_order():
    with chat_stub() as server, connected(server) as stage:
        ranking = stage.reorder(ranking_of(NUMBERS))
        assert docids(ranking) == BEST_FIRST
        assert ranking.stage_two.applied
        assert stage.generator.identity == f"openai stub at {server.url}/v1"
        path, headers, body = server.asked[0]
        assert (path, body["model"], body["temperature"], body["max_tokens"]) == (
            "/v1/chat/completions",
            "stub",
            0,
            176,
        )
        assert len(body["messages"]) == 3 + 2 * 4 + 1
        assert "authorization" not in headers


def test_the_order_may_be_read_off_the_first_token():
    with chat_stub(says=lambda _: "[") as server, connected(server, mode="first-token") as stage:
        ranking = stage.reorder(ranking_of(NUMBERS))
        assert docids(ranking) == BEST_FIRST
        body = server.asked[0][2]
        assert (body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (3, True, 20)


def test_a_reasoning_generator_gets_more_tokens():
    said = "<think>\n[1] > [2] ?\n</think>\n\n"
    with chat_stub(says=lambda text: said + text) as server, connected(server, mode="think") as stage:
        assert docids(stage.reorder(ranking_of(NUMBERS))) == BEST_FIRST
        assert server.asked[0][2]["max_tokens"] == 2048


def test_members_of_the_request_are_added_replaced_and_taken_out():
    request = {"chat_template_kwargs": {"enable_thinking": False}, "max_completion_tokens": 99, "max_tokens": None}
    with chat_stub() as server, connected(server, request=request) as stage:
        stage.reorder(ranking_of(NUMBERS))
        body = server.asked[0][2]
        assert body["chat_template_kwargs"] == {"enable_thinking": False}
        assert "max_tokens" not in body
        assert body["max_completion_tokens"] == 99


def test_the_key_is_sent_to_the_generator():
    with chat_stub() as server, connected(server, key="secret") as stage:
        stage.reorder(ranking_of(NUMBERS))
        assert server.asked[0][1]["authorization"] == "Bearer secret"
        assert "secret" not in repr(stage.spec)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://gpu:8000", ["http://gpu:8000/v1"]),
        ("http://gpu:8000/v1/", ["http://gpu:8000/v1"]),
        ("https://gpu/v1/chat/completions", ["https://gpu/v1"]),
        ("http://a:1/llm/v1, http://b:2", ["http://a:1/llm/v1", "http://b:2/v1"]),
    ],
)
def test_base_urls(given, expected):
    assert base_urls(given) == expected


@pytest.mark.parametrize("url", ["http://me:secret@gpu:8000", "http://gpu:0", "http://", "http://gpu:8000?key=1"])
def test_a_url_that_can_not_be_one_is_refused(url):
    with pytest.raises(ConfigurationError, match="URL of (a|the) generator") as caught:
        base_urls(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "repeated", "unknown", "missing", "expected"),
    [
        ("[3] > [3] > [1] > [4] > [2]", 1, 0, 0, BEST_FIRST),
        ("[3] > [9] > [1] > [4] > [2]", 0, 1, 0, BEST_FIRST),
        ("[3] > [1]", 0, 0, 2, ["d4", "d3", "d1", "d2"]),
        ("[3] > [1] > [", 0, 0, 2, ["d4", "d3", "d1", "d2"]),
        ("Of course! My order is [3] > [1] > [4] > [2]. Shall I explain?", 0, 0, 0, BEST_FIRST),
    ],
    ids=["repeats", "invents", "omits", "stops half way", "talks"],
)
def test_an_answer_that_is_not_quite_an_order_is_mended(answer, repeated, unknown, missing, expected):
    with chat_stub(says=lambda _: answer) as server, connected(server) as stage:
        ranking = stage.reorder(ranking_of(NUMBERS))
        assert docids(ranking) == expected
        window = ranking.stage_two.windows[0]
        assert (window.repeated, window.unknown, window.missing) == (repeated, unknown, missing)
        assert ranking.stage_two.mended == (repeated + unknown + missing > 0)
        assert ranking.stage_two.why is None


@pytest.mark.parametrize("answer", ["", "I can't do that.", "<html><body>1 2</body></html>", "<think>[3] > [1]"])
def test_an_answer_without_an_order_keeps_stage_one_and_is_said(answer):
    with chat_stub(says=lambda _: answer) as server, connected(server) as stage:
        ranking = stage.reorder(ranking_of(NUMBERS))
        assert docids(ranking) == STAGE_ONE
        assert [hit.score for hit in ranking.hits] == [hit.score for hit in ranking_of(NUMBERS).hits]
        assert not ranking.stage_two.applied
        assert ranking.stage_two.why == "1 of 1 answers of the generator hold no order"
        assert ranking.stage_two.why.reason is Reason.STAGE_TWO_UNREADABLE


def test_an_answer_that_reached_its_length_is_marked():
    with chat_stub() as server, connected(server) as stage:
        server.faults = [says("[3] > [1]", finish_reason="length")]
        assert stage.reorder(ranking_of(NUMBERS)).stage_two.windows[0].cut


FAULTS = {
    "HTML": (answers(200, b"<html>busy</html>"), ScoringError, "answers with no JSON"),
    "no completion": (answers(200, b'{"error": "x"}'), ScoringError, "answers with no chat completion"),
    "no choice": (answers(200, b'{"choices": []}'), ScoringError, "answers with no chat completion"),
    "odd choice": (answers(200, b'{"choices": [7]}'), ScoringError, "answers with no chat completion"),
    "too long": (
        answers(400, b'{"message": "maximum context length is 8192 tokens"}'),
        ScoringError,
        "maximum context",
    ),
    "another API": (answers(404, b"nothing"), ScoringError, "HTTP 404"),
    "wrong key": (answers(401, b"no"), ScoringError, "refuses the key"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("fail_open", [False, True])
def test_an_answer_of_another_kind_is_an_error_or_said(fault, fail_open):
    given, kind, message = FAULTS[fault]
    with chat_stub() as server, connected(server, fail_open=fail_open, key="secret") as stage:
        server.faults = [given]
        if fail_open:
            ranking = stage.reorder(ranking_of(NUMBERS))
            assert docids(ranking) == STAGE_ONE
            assert message in ranking.stage_two.why
            assert ranking.stage_two.why.reason is Reason.STAGE_TWO_FAILED
        else:
            with pytest.raises(kind, match=message):
                stage.reorder(ranking_of(NUMBERS))
        assert docids(stage.reorder(ranking_of(NUMBERS))) == BEST_FIRST


def test_a_wrong_key_names_its_own_variable():
    with chat_stub() as server, connected(server, key="secret") as stage:
        server.faults = [answers(401, b"no secret")]
        with pytest.raises(ScoringError) as caught:
            stage.reorder(ranking_of(NUMBERS))
        assert caught.value.remedy == "Set SIDECAR_LISTWISE_API_KEY."


@pytest.mark.parametrize(
    "fault",
    [lambda _: None, answers(503), answers(429), answers(429, retry_after=0.05)],
    ids=["gone", 503, 429, "after"],
)
def test_a_failure_in_passing_is_tried_again(fault):
    with chat_stub() as server, connected(server) as stage:
        server.faults = [fault, fault]
        assert docids(stage.reorder(ranking_of(NUMBERS))) == BEST_FIRST
        assert len(server.asked) == 3


def test_a_server_that_is_busy_for_longer_than_there_is_time_is_not_waited_for():
    with chat_stub() as server, connected(server, timeout=2) as stage:
        server.faults = [answers(429, retry_after=60)]
        started = time.monotonic()
        with pytest.raises(ScorerBusy, match="is busy"):
            stage.reorder(ranking_of(NUMBERS))
        assert time.monotonic() - started < 1


def test_a_server_that_says_nothing_costs_the_time_and_no_more():
    with chat_stub(seconds=3) as server, connected(server, timeout=0.3, fail_open=True) as stage:
        started = time.monotonic()
        ranking = stage.reorder(ranking_of(NUMBERS))
        assert time.monotonic() - started < 2
        assert docids(ranking) == STAGE_ONE
        assert ranking.stage_two.why.reason is Reason.STAGE_TWO_TOO_SLOW
        assert ranking.stage_two.depth == 4


def test_a_second_window_that_comes_too_late_leaves_the_whole_order():
    windows = {"depth": 4, "window": 3, "step": 1}
    with chat_stub() as server, connected(server, timeout=0.5, fail_open=True, **windows) as stage:
        server.faults = [says("[3] > [2] > [1]"), *[lambda _: time.sleep(2)] * 9]
        ranking = stage.reorder(ranking_of(NUMBERS))
        assert docids(ranking) == STAGE_ONE
        assert ranking.stage_two.windows == ()


def test_another_replica_answers_for_one_that_is_gone():
    with chat_stub() as first, chat_stub() as second, connected(first, second) as stage:
        first.faults = [lambda _: None] * 9
        for _ in range(4):
            assert docids(stage.reorder(ranking_of(NUMBERS))) == BEST_FIRST
        assert len(second.asked) == 4


def test_many_rankings_are_asked_for_at_once_and_come_in_order():
    with chat_stub(seconds=0.1) as server, connected(server) as stage:
        asked = [(number, ranking_of([number, number + 1])) for number in range(16)]
        found = list(stage.reorder_all(asked))
        assert [(number, docids(ranking)[0]) for number, ranking in found] == [(n, f"d{n + 1}") for n in range(16)]
        assert 2 < server.most_at_once <= 8


def test_nobody_waits_for_answers_after_an_error():
    left = threading.Event()

    def first_refused(body):
        if "query 0." in body["messages"][1]["content"]:
            return 400, {}, b"no"
        return left.wait(20) and None

    with chat_stub() as server, connected(server, timeout=60) as stage:
        server.faults = [first_refused] * 9
        started = time.monotonic()
        with pytest.raises(ScoringError, match="HTTP 400"):
            list(stage.reorder_all((number, ranking_of(NUMBERS, query=f"query {number}")) for number in range(50)))
        assert time.monotonic() - started < 5
        left.set()


def test_a_server_that_is_not_there_is_named():
    spec = ListwiseSpec(model="http://127.0.0.1:9/v1", remote=Remote(model="m"))
    with pytest.raises(ScorerUnavailable, match="http://127.0.0.1:9/v1 can't be reached"):
        load_listwise(spec)


def test_a_model_that_the_server_does_not_have_is_refused():
    with chat_stub() as server:
        spec = ListwiseSpec(model=server.url, remote=Remote(model="other"))
        with pytest.raises(ModelError, match="has no model 'other'") as caught:
            load_listwise(spec)
        assert caught.value.remedy == "It has stub."


def test_a_server_without_a_list_of_models_has_to_be_told_one():
    with remote_stub("cohere") as server:
        with pytest.raises(ModelError, match="does not list its models"):
            load_listwise(ListwiseSpec(model=server.url))
        stage = load_listwise(ListwiseSpec(model=server.url, remote=Remote(model="named")))
        stage.generator.close()
        assert stage.generator.identity == f"openai named at {server.url}/v1"


@pytest.mark.parametrize(
    ("logprobs", "message"),
    [
        (None, "tells no log probabilities"),
        ({"content": None}, "tells no log probabilities"),
        ({"content": [{"token": "A"}]}, "can't be read"),
        ({"content": [{"token": "A", "logprob": "high"}]}, "can't be read"),
    ],
)
def test_a_server_without_log_probabilities_is_an_error(logprobs, message):
    with chat_stub() as server, connected(server, mode="first-token") as stage:
        server.faults = [says("A", logprobs=logprobs)]
        with pytest.raises(ScoringError, match=message):
            stage.reorder(ranking_of(NUMBERS))


def test_first_tokens_that_are_no_identifiers_keep_stage_one():
    position = {"token": "Sure", "logprob": log(0.9), "top_logprobs": [{"token": "Sure", "logprob": log(0.9)}]}
    with chat_stub() as server, connected(server, mode="first-token") as stage:
        server.faults = [says("Sure", logprobs={"content": [position]})]
        ranking = stage.reorder(ranking_of(NUMBERS))
        assert (docids(ranking), ranking.stage_two.applied) == (STAGE_ONE, False)


@pytest.mark.parametrize("options", [{"base_model": "x"}, {"device": "cuda"}, {"quantization": "4bit"}])
def test_options_of_a_local_generator_are_refused_beside_a_url(options):
    with pytest.raises(ConfigurationError, match="only a generator on this machine takes it"):
        load_listwise(ListwiseSpec(model="http://gpu:8000", **options))
