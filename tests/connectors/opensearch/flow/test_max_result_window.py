"""The window that an index allows: whose words are believed, and for how long."""

import json

import pytest

from connectors.opensearch.flow.cluster_state import LIMIT_REMEMBERED, WindowLimits
from connectors.opensearch.flow.max_result_window import limit_in
from connectors.opensearch.flow.remembered import MOST
from tests.support.opensearch_errors import cause, refused, too_large


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def partly(*causes):
    failures = [{"shard": 0, "index": "docs", "node": "n", "reason": one} for one in causes]
    return json.dumps({"took": 1, "_shards": {"total": 2, "failed": 1, "failures": failures}}).encode()


@pytest.mark.parametrize("answer", [refused, partly])
def test_the_limit_is_read_off_opensearchs_own_exception(answer):
    assert limit_in(answer(cause(too_large())), 100) == 50
    assert limit_in(answer(cause("other"), cause(too_large()), cause(too_large(20))), 100) == 20


@pytest.mark.parametrize("answer", [refused, partly])
@pytest.mark.parametrize(
    "said",
    [
        cause("runtime error", "script_exception", caused_by=cause(too_large(1)), script=too_large(1)),
        cause(too_large(1), "script_exception"),
        cause(f"Failed to parse query [{too_large(1)}]", "query_shard_exception"),
        cause(f"no [query] registered for [{too_large(1)}]"),
        cause(too_large(1) + " "),
        cause(too_large(1)[:-30]),
        # The exact words, but for a search that was not ours, or for no limit at all.
        cause(too_large(1, asked=101)),
        cause(too_large(0)),
        cause(too_large(100)),
        cause(None),
    ],
)
def test_what_a_caller_can_write_is_no_limit(answer, said):
    assert limit_in(answer(said), 100) is None


@pytest.mark.parametrize(
    "answer", [b"", b"Result window is too large", b'{"error":"words"}', b"[]", b'{"_shards":7}', b"\xff", b"[" * 99999]
)
def test_an_answer_of_another_shape_names_none(answer):
    assert limit_in(answer, 100) is None


def test_a_limit_is_kept_for_a_while():
    clock = Clock()
    limits = WindowLimits(clock)
    limits.remember("docs", 50)
    limits.remember("docs", None)
    assert [limits.window("docs", wanted) for wanted in (100, 50, 10)] == [50, 50, 10]
    assert limits.window("others", 100) == 100
    clock.now = LIMIT_REMEMBERED
    assert limits.window("docs", 100) == 100


def test_the_oldest_are_forgotten():
    limits = WindowLimits(Clock())
    for index in range(MOST + 1):
        limits.remember(index, 50)
    assert [limits.window(index, 100) for index in (0, 1, MOST)] == [100, 50, 50]
