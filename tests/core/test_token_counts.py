"""Tokens of several pairs: counted for each, counted for a request, or not known."""

from __future__ import annotations

import pytest

from sidecar.core.candidates import RequestTokens, Score
from sidecar.core.token_counts import total_tokens

FIRST, SECOND = RequestTokens(70, 2), RequestTokens(30, 1)
A, B = Score(0.1, request=FIRST), Score(0.2, request=FIRST)
C = Score(0.3, request=SECOND)
LOCAL = Score(0.4, tokens=5)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([], 0),
        ([LOCAL, LOCAL], 10),
        ([A, C, B], 100),
        ([C, LOCAL], 35),
        ([A], None),  # a share of a request's tokens would be an estimate
        ([A, A], None),  # a score of the cache, twice
        ([A, B, A], None),
        ([A, B, Score(0.5)], None),
        ([A, Score(0.2, request=RequestTokens(70, 2))], None),  # of two requests with equal numbers
    ],
)
def test_only_what_was_counted_exactly_is_summed(scores, expected):
    assert total_tokens(scores) == expected
