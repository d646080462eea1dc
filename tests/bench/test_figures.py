import pytest

from sidecar.bench.figures import largest_difference, mean_tau, same_order, spread, tau, times_faster


def test_median_and_interquartile_range():
    found = spread([1.0, 2.0, 3.0, 4.0, 100.0])

    assert (found.median, found.range) == (3.0, 2.0)


def test_one_value_has_no_spread():
    assert spread([2.5]).range == 0.0


def test_what_slows_a_whole_round_down_cancels_out():
    found = times_faster([1.0, 10.0, 2.0], [3.0, 30.0, 6.0])

    assert (found.median, found.range) == (3.0, 0.0)


def test_differences_are_in_deviations_of_the_same_query():
    oracle = [[0.0, 2.0], [0.0, 20.0]]  # deviations 1 and 10

    assert largest_difference([[0.0, 2.5], [0.0, 21.0]], oracle) == pytest.approx(0.5)


def test_scores_that_are_all_equal_are_measured_as_they_are():
    assert largest_difference([[1.0, 1.25]], [[1.0, 1.0]]) == pytest.approx(0.25)


def test_tau():
    assert tau([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]) == pytest.approx(1.0)
    assert tau([3.0, 2.0, 1.0], [10.0, 20.0, 30.0]) == pytest.approx(-1.0)
    assert tau([1.0, 1.0], [5.0, 5.0]) == 1.0
    assert mean_tau([[1.0, 2.0], [2.0, 1.0]], [[1.0, 2.0], [1.0, 2.0]]) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("scores", "same"),
    [
        ([3.0, 2.0, 1.0], True),
        ([3.0, 1.0, 2.0], False),
        ([2.0, 2.0, 1.0], False),  # a tie is an order lost
    ],
)
def test_same_order(scores, same):
    assert same_order(scores, [3.0, 2.0, 1.0]) is same


def test_pairs_that_are_as_good_as_equal_may_change_places():
    assert same_order([3.0, 1.0, 2.0], [3.0, 2.000001, 2.0])
    assert not same_order([1.0, 3.0, 2.0], [3.0, 2.000001, 2.0])
