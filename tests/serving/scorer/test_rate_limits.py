"""Requests and tokens a minute: what is counted for whom, and what memory that takes."""

from __future__ import annotations

import pytest

from sidecar.core.errors import RateLimited
from sidecar.serving.scorer.rate_limits import Allowance, RateLimits, Unit

REQUESTS, TOKENS = Unit.REQUESTS, Unit.TOKENS


def left(rates, caller):
    return {one.unit: one.left for one in rates.allowances(caller)}


def test_without_limits_nothing_is_counted():
    rates = RateLimits()
    for _ in range(1000):
        rates.take(REQUESTS, "a")
    assert rates.allowances("a") == []


def test_each_caller_has_a_limit_of_its_own():
    rates = RateLimits(requests=2)
    rates.take(REQUESTS, "a")
    rates.take(REQUESTS, "a")
    with pytest.raises(RateLimited, match="0 of 2 requests are left in this minute; ask again in") as refused:
        rates.take(REQUESTS, "a")
    assert 1 <= refused.value.retry_after <= 60
    rates.take(REQUESTS, "b")
    assert (left(rates, "a"), left(rates, "b")) == ({REQUESTS: 0}, {REQUESTS: 1})


def test_what_is_refused_is_not_counted():
    rates = RateLimits(tokens=100)
    rates.take(TOKENS, "a", 60)
    with pytest.raises(RateLimited):
        rates.take(TOKENS, "a", 41)
    rates.take(TOKENS, "a", 40)
    assert left(rates, "a") == {TOKENS: 0}


def test_more_than_a_minute_ever_allows_is_refused_for_good():
    rates = RateLimits(tokens=100)
    with pytest.raises(RateLimited, match="this takes 101 tokens, and 100 a minute are allowed") as refused:
        rates.take(TOKENS, "a", 101)
    assert refused.value.retry_after is None
    assert left(rates, "a") == {TOKENS: 100}


def test_both_units_are_told():
    rates = RateLimits(requests=2, tokens=100)
    assert rates.allowances("a") == [Allowance(REQUESTS, 2, 2, 0), Allowance(TOKENS, 100, 100, 0)]
    rates.take(REQUESTS, "a")
    [requests, tokens] = rates.allowances("a")
    assert (requests.left, tokens.left) == (1, 100)
    assert 1 <= requests.seconds <= 60


def test_callers_beyond_a_number_share_one_count():
    rates = RateLimits(requests=2, most_callers=10)
    for number in range(10):
        rates.take(REQUESTS, f"early {number}")
    rates.take(REQUESTS, "late 1")
    rates.take(REQUESTS, "late 2")
    with pytest.raises(RateLimited):
        rates.take(REQUESTS, "late 3")
    rates.take(REQUESTS, "early 3")
    for number in range(10_000):
        with pytest.raises(RateLimited):
            rates.take(REQUESTS, f"flood {number}")
    assert len(rates._storage.storage) == 11


def test_a_refusal_is_reported_by_the_clients_name():
    rates, told = RateLimits(requests=1), []
    rates.on_refusal = lambda unit, client: told.append((unit.value, client))
    for caller in ("client team-a", "6d0f"):
        rates.take(REQUESTS, caller)
        with pytest.raises(RateLimited):
            rates.take(REQUESTS, caller)
    assert told == [("requests", "team-a"), ("requests", "")]
