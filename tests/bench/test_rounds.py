import pytest

from sidecar.bench.rounds import count, fit, interleave
from sidecar.bench.system import System
from tests.support.bench import FakeClock, FakeMemory, make_query


def system(name, clock, seconds, seen=None):
    def score(query):
        clock.now += seconds * len(query.passages)
        if seen is not None:
            seen.append(name)
        return [float(len(document)) for document in query.documents]

    return System(name, name, score, added=10)


def test_systems_take_turns_and_each_round_begins_with_another():
    clock, seen = FakeClock(), []
    systems = [system(name, clock, 1.0, seen) for name in "abc"]

    interleave(systems, [make_query("q", 2)], rounds=3, clock=clock, memory=FakeMemory())

    assert "".join(seen) == "abc" + "bca" + "cab"


def test_each_round_is_timed_on_the_whole_work():
    clock = FakeClock()
    work = [make_query("one", 2), make_query("two", 3)]

    [fast, slow] = interleave(
        [system("fast", clock, 1.0), system("slow", clock, 4.0)], work, rounds=2, clock=clock, memory=FakeMemory()
    )

    assert fast.seconds == [5.0, 5.0]
    assert slow.seconds == [20.0, 20.0]
    assert [len(scores) for scores in fast.scores] == [2, 3]


def test_memory_is_what_a_pass_adds_to_what_was_in_use():
    clock, memory = FakeClock(), FakeMemory(in_use=100, peak=175)

    [timing] = interleave([system("a", clock, 1.0)], [make_query("q", 2)], rounds=2, clock=clock, memory=memory)

    assert timing.peak == 75
    assert memory.forgotten == 2


def test_unknown_memory_stays_unknown():
    memory = FakeMemory(in_use=None, peak=None)

    [timing] = interleave(
        [system("a", FakeClock(), 1.0)], [make_query("q", 2)], rounds=2, clock=FakeClock(), memory=memory
    )

    assert timing.peak is None


@pytest.mark.parametrize(("seconds", "expected"), [(1.0, 100), (0.3, 400), (1000.0, 8)])
def test_the_work_is_cut_to_what_fits(seconds, expected):
    clock = FakeClock()
    queries = [make_query(str(number), 100) for number in range(10)]

    chosen = fit([system("a", clock, seconds)], queries, rounds=10, until=1600.0, clock=clock)

    assert count(chosen) == pytest.approx(expected, rel=0.35)
    used = clock.now
    assert used + 10 * seconds * count(chosen) <= 1600.0 or expected == 8


def test_nothing_is_cut_where_everything_fits():
    clock = FakeClock()
    queries = [make_query(str(number), 20) for number in range(3)]

    assert fit([system("a", clock, 0.001)], queries, rounds=10, until=100.0, clock=clock) == queries


def test_what_is_measured_was_run_once_before():
    clock, seen = FakeClock(), set()

    def score(query):
        clock.now += len(query.passages)
        seen.add(len(query.passages))
        return [0.0] * len(query.passages)

    [chosen] = fit([System("a", "", score)], [make_query("q", 100)], rounds=10, until=700.0, clock=clock)

    assert len(chosen.passages) in seen
