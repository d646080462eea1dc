"""Paired tests: against scipy, the power of published tables, and arithmetic written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import permutation_test, ttest_rel

from sidecar.report.statistics import detectable, holm, interval, paired_tests, power, randomisation


def test_holm_multiplies_by_what_is_left_and_never_falls():
    # Sorted: 0.01 × 4, 0.02 × 3 = 0.06, 0.03 × 2 = 0.06, 0.9 × 1.
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    # 0.02 × 2 = 0.04 is below the 0.045 before it.
    assert holm([0.015, 0.02, 0.04]) == pytest.approx([0.045, 0.045, 0.045])
    assert holm([0.5, 0.6]) == [1.0, 1.0]


@pytest.mark.parametrize("count", [2, 8, 13])
def test_few_queries_get_the_exact_p_of_scipy(count):
    row = np.round(np.random.default_rng(count).normal(0.05, 0.1, count), 2)
    expected = permutation_test(
        (row,), lambda values, axis: values.mean(axis=axis), permutation_type="samples", vectorized=True
    ).pvalue
    assert randomisation(row[None]) == [pytest.approx(expected, abs=1e-12)]


def test_many_queries_get_nearly_the_p_of_scipy():
    row = np.random.default_rng(5).normal(0, 0.1, 60)
    row += 0.028 - row.mean()
    expected = permutation_test(
        (row,), lambda values, axis: values.mean(axis=axis), permutation_type="samples", vectorized=True, rng=1
    ).pvalue
    # Both draw 9999 flips; with p near 0.03 the standard error of each is about 0.002.
    assert 0.01 < expected < 0.06
    assert randomisation(row[None]) == [pytest.approx(expected, abs=0.01)]
    assert randomisation(row[None]) == randomisation(row[None])


def test_three_equal_gains_are_as_likely_as_one_flip_in_four():
    # Of 8 flips of three signs, + + + and − − − give a sum as large.
    assert randomisation(np.array([[0.1, 0.1, 0.1]])) == [0.25]


def test_power_is_that_of_the_usual_tables():
    # Paired t-test, effect 0.5, two-sided 5%: 34 pairs give 80.8% (G*Power 3.1's manual has this example).
    assert power(0.5, 34) == pytest.approx(0.8078, abs=1e-4)
    assert power(0.5, 33) < 0.8
    assert power(0.0, 34) == pytest.approx(0.05, abs=1e-9)


def test_the_detectable_difference_has_the_power_it_promises():
    row = np.random.default_rng(2).normal(0, 0.25, 50)
    least = detectable(row)
    assert power(least / row.std(ddof=1), 50) == pytest.approx(0.8, abs=1e-6)


def test_a_row_of_the_table_is_what_scipy_computes():
    one, two = np.random.default_rng(3).random((2, 40))
    test, same = paired_tests([two - one, one - one])
    expected = ttest_rel(two, one)
    assert test.difference == pytest.approx(two.mean() - one.mean())
    assert test.t_p == pytest.approx(expected.pvalue)
    assert test.holm_p == pytest.approx(min(1, 2 * expected.pvalue))
    assert (test.low, test.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert test.wins + test.losses == 40
    assert (same.t_p, same.randomisation_p, same.ties, same.low, same.high) == (1.0, 1.0, 40, 0.0, 0.0)


def test_a_single_query_has_a_difference_and_no_test():
    [test] = paired_tests([np.array([0.25])])
    assert (test.difference, test.t_p, test.holm_p, test.low, test.detectable) == (0.25, None, None, None, None)
    assert test.randomisation_p == 1.0
    assert interval(np.array([0.25])) == (None, None)
