"""Knowledge of a cluster learnt in one caller's name is not told to another, and is bounded."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from connectors.opensearch.flow.caller import caller_of
from connectors.opensearch.flow.cluster_state import Cluster
from connectors.opensearch.flow.driving import drive
from connectors.opensearch.flow.remembered import Remembered
from connectors.opensearch.rewrite.search_body import SearchBody
from sidecar.core.documents import PassageFields
from sidecar.core.errors import EngineRejected
from tests.support.opensearch_errors import cause, refused, too_large

ADA, EVE = (caller_of([(b"authorization", name)]) for name in (b"ada", b"eve"))
BODY = b'{"query":{"match":{"text":"fox"}}}'
HIT = b'{"took":1,"hits":{"hits":[{"_index":"docs","_id":"a","_score":1.0,"_source":{"text":"fox"}}]}}'
RERANKS = b'{"secret":{"response_processors":[{"rerank":{}}]}}'
FORBIDDEN = 403
REASON = "the search pipeline 'secret' reranks already; ask with search_pipeline=_none to have the sidecar do it"


def searched(cluster, caller, pipeline, index="docs", **params):
    """Search in a caller's name, for whom the pipeline is this; the reason of a skip, and what was asked for it."""
    asked = []

    def send(request):
        if request.path is None:
            return HIT
        asked.append(request.path)
        if pipeline == FORBIDDEN:
            raise EngineRejected("no permissions", status=FORBIDDEN)
        return pipeline

    flow = cluster.search(index, SearchBody(BODY), params, window=100, fields=PassageFields(), caller=caller)
    return drive(flow, send).skipped, len(asked)


@pytest.mark.parametrize("order", [1, -1])
def test_each_caller_is_told_what_they_may_see(order):
    cluster = Cluster()
    may_see = {ADA: RERANKS, EVE: FORBIDDEN}
    outcomes = {ADA: REASON, EVE: None}
    for caller in (ADA, EVE)[::order]:
        assert searched(cluster, caller, may_see[caller], search_pipeline="secret") == (outcomes[caller], 1)
    for caller in (ADA, EVE):  # and each is remembered
        assert searched(cluster, caller, may_see[caller], search_pipeline="secret") == (outcomes[caller], 0)


def test_a_window_that_one_caller_was_refused_stays_theirs():
    cluster = Cluster()

    def windows(caller, index="docs"):
        sent = []

        def send(request):
            if request.path is not None:
                return b"{}"
            sent.append(json.loads(request.body)["size"])
            if sent[-1] > 50:
                raise EngineRejected("no", status=400, body=refused(cause(too_large())))
            return HIT

        flow = cluster.search(index, SearchBody(BODY), {}, window=100, fields=PassageFields(), caller=caller)
        assert drive(flow, send).native.plan.window == 50
        return sent

    assert windows(ADA) == [100, 50]
    assert windows(ADA) == [50]
    assert windows(ADA, index="docs,more") == [100, 50]
    assert windows(EVE) == [100, 50]


def test_ever_new_callers_and_indexes_take_no_more_memory():
    cluster = Cluster()
    tracemalloc.start()
    for i in range(3000):
        searched(cluster, b"%d" % i, FORBIDDEN, search_pipeline="p" * 2000 + str(i), index="x" * 2000 + str(i))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 2_000_000


def test_facts_are_forgotten_in_time_and_the_oldest_first():
    now = 0.0
    facts = Remembered(10, most=2, clock=lambda: now)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", False)):
        facts.keep(key, value)
    assert [facts.get(key) for key in "abc"] == [3, None, False]
    now = 10.0
    assert [facts.get(key) for key in "abc"] == [None, None, None]
