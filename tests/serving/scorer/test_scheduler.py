"""The one queue of the device, in plain integers and with a clock that only moves when told."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.serving.scorer.scheduler import BY_DEADLINE, LEAST_TOKENS, MOST_TOKENS, Scheduler, Waiting

SPEED = 4000  # tokens a second: 1000 in a batch


def scheduler(**speeds):
    found = Scheduler(0.25, least_tokens=64)
    for model, speed in {"m": SPEED, **speeds}.items():
        found.measured(model, speed, 1.0)
    return found


def job(queue, number, lengths, *, caller="", model="m", deadline=1000.0):
    queue.add(Waiting(number, caller, model, len(lengths), deadline))
    queue.read(number, lengths)


def device(queue, now=0.0):
    """Every batch until nothing is left, each with the time at which the device is done with it."""
    while (batch := queue.next(now)) is not None:
        now += batch.tokens / SPEED
        yield now, batch


def finished(queue):
    """When each job's last passage was scored."""
    return {number: now for now, batch in device(queue) for number, _ in batch.parts}


def test_small_jobs_share_a_batch():
    queue = scheduler()
    for number in range(8):
        job(queue, number, [10] * 10, caller=str(number))
    batch = queue.next(0)
    assert batch.parts == tuple((number, range(10)) for number in range(8))
    assert (batch.tokens, queue.next(0), queue.tokens) == (800, None, 0)


def test_a_large_job_is_cut_in_slices_from_the_front():
    queue = scheduler()
    job(queue, 1, [300] * 10)
    assert [batch.parts for _, batch in device(queue)] == [
        ((1, range(3)),),
        ((1, range(3, 6)),),
        ((1, range(6, 9)),),
        ((1, range(9, 10)),),
    ]


def test_of_jobs_of_like_size_the_earliest_deadline_goes_first_whole():
    queue = scheduler()
    for number, deadline in ((1, 30.0), (2, 10.0), (3, 20.0)):
        job(queue, number, [100] * 40, caller=str(number), deadline=deadline)
    order = [number for _, batch in device(queue) for number, _ in batch.parts]
    assert [number for number, _ in itertools.groupby(order)] == [2, 3, 1]


def test_a_thousand_documents_do_not_block_ten():
    queue = scheduler()
    job(queue, 1, [100] * 1000, deadline=3.0)
    assert queue.next(0).parts == ((1, range(10)),)
    job(queue, 2, [100] * 10, deadline=3.25)
    done = next(now for now, batch in device(queue, 0.25) if 2 in dict(batch.parts))
    assert done <= 0.25 * 3  # the batch under way, one by deadline at most, and its own


def test_a_caller_with_many_jobs_leaves_the_others_their_turn():
    queue = scheduler()
    for number in range(100):
        job(queue, number, [100] * 40, caller="greedy")
    for number in range(100, 103):
        job(queue, number, [100] * 40, caller=str(number))
    times = finished(queue)
    work = 4000 / SPEED
    # Four callers share: each of the three is done when it has had one job's work, and so has everybody else.
    assert max(times[number] for number in range(100, 103)) <= 4 * work * BY_DEADLINE / (BY_DEADLINE - 1) + 1


def test_a_flood_of_small_jobs_keeps_no_large_one_from_being_scored():
    queue = scheduler()
    job(queue, 0, [100] * 100, deadline=100.0)
    numbers, now = itertools.count(1), 0.0
    while 0 in queue.jobs:
        for _ in range(10):
            job(queue, next(numbers), [100], deadline=now + 200)
        batch = queue.next(now)
        now += batch.tokens / SPEED
    assert now <= BY_DEADLINE * 10_000 / SPEED


def test_a_batch_holds_one_model_and_no_model_waits_for_ever():
    queue = scheduler(slow=SPEED // 10)
    for number in range(200):
        job(queue, number, [100] * 2, caller=str(number), deadline=100.0 + number)
    job(queue, 1000, [100] * 3, model="slow", caller="x", deadline=50.0)
    batches = [batch for _, batch in device(queue)]
    assert [batch.model for batch in batches].index("slow") < BY_DEADLINE
    assert all(({number == 1000 for number, _ in batch.parts} == {batch.model == "slow"}) for batch in batches)


def test_what_is_past_its_deadline_or_dropped_is_forgotten():
    queue = scheduler()
    job(queue, 1, [100] * 30, deadline=1.0)
    job(queue, 2, [100] * 30, deadline=9.0)
    job(queue, 3, [100] * 3, deadline=9.0)
    queue.drop(3)
    queue.drop(3)
    queue.read(3, [100])
    assert queue.next(1.0).parts == ((2, range(10)),)
    assert queue.jobs.keys() == {2}


def test_near_its_deadline_a_job_is_cut_finer_so_that_something_is_scored_in_time():
    queue = scheduler()
    job(queue, 1, [100] * 30, deadline=1.0)
    assert queue.next(0.9).tokens <= 0.1 * SPEED / 2


def test_only_what_was_read_is_handed_out():
    queue = scheduler()
    queue.add(Waiting(1, "", "m", 5, 10.0))
    assert (queue.ready, queue.next(0)) == (False, None)
    queue.read(1, [100, 100])
    assert queue.next(0).parts == ((1, range(2)),)
    queue.read(1, [0, 0, 0])
    assert (queue.next(0).parts, queue.jobs) == (((1, range(2, 5)),), {})


def test_the_budget_follows_the_speed_within_its_bounds():
    queue = Scheduler(0.25)
    assert queue.budget("m") == LEAST_TOKENS
    queue.measured("m", 100, 0.01)
    assert queue.budget("m") == 2500
    for _ in range(20):
        queue.measured("m", 2500, 0.03)  # a fuller call is faster
    assert 10_000 < queue.budget("m") < 21_000
    queue.measured("m", 20_000, 5.0)  # somebody else has the machine
    assert queue.budget("m") == LEAST_TOKENS
    queue.measured("m", 0, 1.0)
    queue.measured("m", 10**9, 1.0)
    assert queue.budget("m") == MOST_TOKENS


@pytest.mark.parametrize("callers", [2, 64])
def test_callers_who_ask_alike_are_given_alike(callers):
    queue = scheduler()
    for number in range(callers * 3):
        job(queue, number, [100] * 100, caller=str(number % callers))
    given = dict.fromkeys(map(str, range(callers)), 0)
    for _, batch in itertools.islice(device(queue), 30 * callers // 2):
        for number, positions in batch.parts:
            given[str(number % callers)] += 100 * len(positions)
    assert max(given.values()) - min(given.values()) <= 10_000 + 4000


JOBS = st.tuples(
    st.sampled_from("abc"), st.sampled_from(["m", "n"]), st.lists(st.integers(0, 1500), min_size=1, max_size=40)
)


@settings(max_examples=300, deadline=None)
@given(st.lists(JOBS, max_size=12), st.sets(st.integers(0, 11)))
def test_whatever_is_asked_every_passage_is_handed_out_once_and_in_order(jobs, dropped):
    queue = scheduler(n=300)
    for number, (caller, model, lengths) in enumerate(jobs):
        job(queue, number, lengths, caller=caller, model=model, deadline=1e9 + number % 3)
    first = queue.next(0)
    for number in dropped:
        queue.drop(number)
    done = {number: 0 for number, _ in enumerate(jobs)}
    for batch in [*([first] if first else []), *(batch for _, batch in device(queue))]:
        assert {jobs[number][1] for number, _ in batch.parts} == {batch.model}
        tokens = sum(jobs[number][2][position] for number, positions in batch.parts for position in positions)
        assert tokens == batch.tokens
        assert tokens <= queue.budget(batch.model) or len(batch.parts[0][1]) == 1
        for number, positions in batch.parts:
            assert positions.start == done[number]
            done[number] = positions.stop
    assert all(done[number] == len(lengths) for number, (_, _, lengths) in enumerate(jobs) if number not in dropped)
    assert (queue.jobs, queue.tokens, queue.ready) == ({}, 0, False)


def test_what_a_call_costs_by_itself_does_not_make_the_batches_smaller_and_smaller():
    """Half a second for each call and 10,000 tokens a second: fine slices would take two hundred times as long."""
    queue = Scheduler(0.25)
    job(queue, 1, [40] * 1000)
    now = 0.0
    while (batch := queue.next(now)) is not None:
        seconds = 0.5 + batch.tokens / 10_000
        queue.measured("m", batch.tokens, seconds)
        now += seconds
    assert now < 30


def test_a_lower_priority_number_goes_first_and_the_others_are_not_blocked_forever():
    queue = Scheduler(0.25)
    for number, priority in ((1, 5), (2, 0)):
        queue.add(Waiting(number, str(number), "m", 40, 1000.0 - 10 * priority, priority))
        queue.read(number, [100] * 40)
    taken = []
    while (batch := queue.next(0.0)) is not None:
        taken.append([number for number, _ in batch.parts])
    assert taken[0] == [2]
    # Every fourth batch is the one of the earliest deadline, which is the job of priority 5.
    assert taken[3][0] == 1
