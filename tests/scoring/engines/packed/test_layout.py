"""The packed layout in plain integers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import ConfigurationError
from sidecar.scoring.engines.packed.layout import Part, Segment, Slot, cut, distinct, key_rows, lay_out, shared_prefix

A, B, C = [1, 7, 1, 20, 21], [1, 7, 1, 30], [1, 7, 1, 40, 41, 42]
GROUPS = st.lists(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), max_size=6), max_size=4)


def test_a_group_is_its_prefix_once_and_then_the_suffixes():
    layout = lay_out([Part([A, B, C], 3)])
    assert layout.ids == [1, 7, 1, 20, 21, 30, 40, 41, 42]
    assert layout.positions == [0, 1, 2, 3, 4, 3, 3, 4, 5]
    prefix = range(3)
    assert layout.segments == [
        Segment(prefix, (prefix,)),
        Segment(range(3, 5), (prefix, range(3, 5))),
        Segment(range(5, 6), (prefix, range(5, 6))),
        Segment(range(6, 9), (prefix, range(6, 9))),
    ]
    assert [segment.rows.start for segment in layout.pooled] == [4, 5, 8]
    assert list(key_rows(layout.pooled)) == [0, 1, 2, 3, 4, 0, 1, 2, 5, 0, 1, 2, 6, 7, 8]


def test_several_groups_do_not_see_each_other():
    layout = lay_out([Part([A, B], 3), Part([C], 0), Part([B, A], 3)])
    assert layout.ids == [1, 7, 1, 20, 21, 30, *C, 1, 7, 1, 30, 20, 21]
    assert [list(key_rows([segment])) for segment in layout.pooled] == [
        [0, 1, 2, 3, 4],
        [0, 1, 2, 5],
        [6, 7, 8, 9, 10, 11],
        [12, 13, 14, 15],
        [12, 13, 14, 16, 17],
    ]


def test_a_slot_sees_the_pairs_tokens_and_not_itself_and_a_pair_that_fills_the_limit_has_none():
    layout = lay_out([Part([A, C], 3)], Slot(token=9, position=5))
    assert layout.ids == [1, 7, 1, 20, 21, 9, 40, 41, 42]
    assert layout.positions == [0, 1, 2, 3, 4, 5, 3, 4, 5]
    assert layout.pooled[0] == Segment(range(5, 6), (range(3), range(3, 5)))
    assert layout.pooled[0] in layout.segments
    assert layout.pooled[1] == Segment(range(8, 9), (range(3), range(6, 9)))


@pytest.mark.parametrize(
    ("pairs", "shared"),
    [
        ([A, B, C], 3),
        ([A], 0),
        ([], 0),
        ([[1, 2, 3], [1, 2, 3, 4]], 2),
        ([[1], [1, 2]], 0),
        ([[5, 1], [6, 1]], 0),
        ([[1, 2], [1, 2]], 1),
    ],
)
def test_what_pairs_share_leaves_each_a_token_of_its_own(pairs, shared):
    assert shared_prefix(pairs) == shared


def test_equal_pairs_are_one():
    assert distinct([A, B, A, A, C]) == ([A, B, C], [0, 1, 0, 0, 2])


def test_a_group_beyond_the_budget_is_cut_and_its_prefix_computed_again():
    assert cut([[A, B, C]], max_pairs=9, max_tokens=6) == [[Part([A, B], 3)], [Part([C], 3)]]
    assert cut([[A, B, C]], max_pairs=9, max_tokens=9) == [[Part([A, B, C], 3)]]
    assert cut([[A, B, C]], max_pairs=1, max_tokens=99) == [[Part([A], 3)], [Part([B], 3)], [Part([C], 3)]]
    assert cut([[A, B], [C]], max_pairs=9, max_tokens=12) == [[Part([A, B], 3), Part([C], 0)]]
    assert cut([[A, B]], max_pairs=9, max_tokens=8, share=False) == [[Part([A], 0)], [Part([B], 0)]]
    assert cut([[C]], max_pairs=9, max_tokens=1) == [[Part([C], 0)]]
    assert cut([[], []], max_pairs=9, max_tokens=9) == []


@pytest.mark.parametrize("budget", [{"max_pairs": 0, "max_tokens": 9}, {"max_pairs": 9, "max_tokens": 0}])
def test_a_budget_that_holds_nothing_is_refused(budget):
    with pytest.raises(ConfigurationError, match="can hold nothing"):
        cut([[A]], **budget)


@given(
    groups=GROUPS,
    max_pairs=st.integers(1, 5),
    max_tokens=st.integers(1, 25),
    share=st.booleans(),
    slot=st.none() | st.just(Slot(9, 6)),
)
def test_every_pair_is_pooled_over_its_own_ids_in_order(groups, max_pairs, max_tokens, share, slot):
    found = []
    for batch in cut(groups, max_pairs=max_pairs, max_tokens=max_tokens, share=share):
        layout = lay_out(batch, slot)
        pairs = sum(len(part.pairs) for part in batch)
        probes = layout.ids.count(9)
        assert 1 <= pairs <= max_pairs
        assert pairs == 1 or len(layout.ids) - probes <= max_tokens
        assert [row for segment in layout.segments for row in segment.rows] == list(range(len(layout.ids)))
        for segment in layout.pooled:
            keys = list(key_rows([segment]))
            assert [layout.positions[row] for row in keys] == list(range(len(keys)))
            assert (segment.rows.start in keys) == (layout.ids[segment.rows.start] != 9)
            found.append([layout.ids[row] for row in keys])
    assert found == [pair for group in groups for pair in group]
