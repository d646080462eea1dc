from __future__ import annotations

import pytest

from sidecar.core.errors import ConfigurationError
from sidecar.scoring.engines.length_batching import plan_batches, restore_order


@pytest.mark.parametrize(
    ("lengths", "max_pairs", "max_tokens", "batches"),
    [
        ([], 8, 100, []),
        ([5], 8, 100, [[0]]),
        ([3, 9, 6], 8, 100, [[1, 2, 0]]),
        ([3, 9, 6], 2, 100, [[1, 2], [0]]),
        ([3, 9, 6], 8, 18, [[1, 2], [0]]),  # 2 * 9 = 18 fits, 3 * 9 = 27 does not
        ([3, 9, 6], 8, 17, [[1], [2, 0]]),
        ([50, 9, 6], 8, 20, [[0], [1, 2]]),  # 50 alone is beyond the cap and still scored
        ([4, 4, 4, 4], 2, 100, [[0, 1], [2, 3]]),  # equal lengths keep their order
        ([7, 7, 1, 1], 8, 14, [[0, 1], [2, 3]]),
    ],
)
def test_batches_are_sorted_by_length_and_capped(lengths, max_pairs, max_tokens, batches):
    assert plan_batches(lengths, max_pairs=max_pairs, max_tokens=max_tokens) == batches


@pytest.mark.parametrize(("max_pairs", "max_tokens"), [(0, 100), (8, 0), (-1, 100)])
def test_caps_that_hold_nothing_are_refused(max_pairs, max_tokens):
    with pytest.raises(ConfigurationError):
        plan_batches([1], max_pairs=max_pairs, max_tokens=max_tokens)


def test_values_go_back_to_where_they_came_from():
    assert restore_order([[2, 0], [1]], [[0.2, 0.0], [0.1]]) == [0.0, 0.1, 0.2]


def test_a_value_too_few_is_an_error():
    with pytest.raises(ValueError, match="shorter"):
        restore_order([[2, 0], [1]], [[0.2], [0.1]])
