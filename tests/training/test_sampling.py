"""Which passages and which batches: by chance, and the same chance every time."""

from __future__ import annotations

from collections import Counter

from sidecar.training.sampling import Batches, choose_passages
from tests.support.training.groups import group


def test_a_positive_comes_first_and_only_lower_labels_follow():
    graded = group(3, 0, 1, None, 0)
    for epoch in range(30):
        best, *others = choose_passages(graded, 3, seed=1, epoch=epoch)
        assert graded.labels[best] in {3, 1}
        assert all((graded.labels[index] or 0) < graded.labels[best] for index in others)
        assert len(set(others)) == len(others) == 2


def test_a_small_group_gives_what_it_has():
    assert choose_passages(group(0, 1), 8, seed=1, epoch=0) == [1, 0]
    assert sorted(choose_passages(group(None, None), 8, seed=1, epoch=0)) == [0, 1]


def test_epochs_differ_and_repeat_themselves():
    wide = group(1, *[0] * 20)
    drawn = [choose_passages(wide, 4, seed=1, epoch=epoch) for epoch in range(5)]
    assert len({tuple(one) for one in drawn}) == 5
    assert drawn == [choose_passages(wide, 4, seed=1, epoch=epoch) for epoch in range(5)]
    assert drawn[0] != choose_passages(wide, 4, seed=2, epoch=0)


def test_every_query_is_in_one_batch_of_an_epoch_beside_its_like():
    lengths = [index % 90 for index in range(1000)]
    batches = Batches(lengths, 8, seed=3)
    batches.set_epoch(2)
    drawn = list(batches)
    assert len(drawn) == len(batches) == 125
    assert Counter(index for batch in drawn for _, index in batch) == Counter(range(1000))
    assert {epoch for batch in drawn for epoch, _ in batch} == {2}
    spread = [max(lengths[i] for _, i in batch) - min(lengths[i] for _, i in batch) for batch in drawn]
    assert sum(spread) / len(spread) < 10
    assert drawn == list(batches)
    batches.set_epoch(3)
    assert [[index for _, index in batch] for batch in batches] != [[index for _, index in batch] for batch in drawn]
