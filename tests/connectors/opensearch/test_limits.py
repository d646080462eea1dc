import pytest

from connectors.opensearch.limits import MOST, SECONDS, Limits, limit_in

TOO_LARGE = "Result window is too large, from + size must be less than or equal to: [50] but was [100]. …"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("words", "limit"),
    [(f"OpenSearch answered 400: {TOO_LARGE}", 50), (TOO_LARGE.replace("50", "0"), None), ("no such index", None)],
)
def test_the_limit_is_read_off_the_refusal(words, limit):
    assert limit_in(words) == limit


def test_a_limit_is_kept_for_a_while():
    clock = Clock()
    limits = Limits(clock)
    limits.remember("docs", 50)
    limits.remember("docs", None)
    assert [limits.window("docs", wanted) for wanted in (100, 50, 10)] == [50, 50, 10]
    assert limits.window("others", 100) == 100
    clock.now = SECONDS
    assert limits.window("docs", 100) == 100


def test_the_oldest_are_forgotten():
    limits = Limits(Clock())
    for index in range(MOST + 1):
        limits.remember(index, 50)
    assert [limits.window(index, 100) for index in (0, 1, MOST)] == [100, 50, 50]
