"""Stage two on a ranking: what each hit has afterwards."""

from __future__ import annotations

import time

import pytest

from sidecar.core.errors import ConfigurationError, ScorerUnavailable
from sidecar.core.listwise_spec import ListwiseSpec
from sidecar.core.model_spec import Remote
from sidecar.core.reasons import Reason
from sidecar.listwise.loading import check_options
from sidecar.listwise.stage import ListwiseStage, reordered
from sidecar.listwise.windows import Answer, Sorted
from tests.support.listwise import knows_the_order
from tests.support.rankings import docids, ranking_of


class Scripted:
    prompt = "rankgpt"
    identity = "scripted"

    def __init__(self, generator):
        self.generator = generator
        self.asked = 0

    def answer(self, chat, *, seconds):
        self.asked += 1
        return self.generator(chat)

    def cancel(self):
        pass


def by_number(text):
    return int(text.split()[0])


RIGHT = knows_the_order(by_number)


def stage(generator=RIGHT, **options):
    return ListwiseStage(Scripted(generator), ListwiseSpec(model="scripted", **options))


def test_the_scores_stay_with_the_places_and_never_rise():
    before = ranking_of([1, 2, 3, 4])
    after = stage(depth=3).reorder(before)
    assert docids(after) == ["d3", "d2", "d1", "d4"]
    assert [hit.rank for hit in after.hits] == [1, 2, 3, 4]
    assert [hit.score for hit in after.hits] == [10.0, 9.75, 9.5, 9.25]
    assert [hit.rerank_score for hit in after.hits] == [9.5, 9.75, 10.0, 9.25]
    assert [hit.stage_one for hit in after.hits] == [(3, 9.5), (2, 9.75), (1, 10.0), None]
    assert sorted(after.seconds) == ["listwise", "score"]


def test_hits_without_text_stay_behind():
    after = stage().reorder(ranking_of([1, 2, 3, 4], unscored=2))
    assert docids(after) == ["d2", "d1", "d3", "d4"]
    assert after.stage_two.depth == 2
    assert [hit.score for hit in after.hits] == [10.0, 9.75, None, None]


@pytest.mark.parametrize("numbers", [[], [7]])
def test_nothing_is_asked_about_less_than_two_hits(numbers):
    found = stage()
    before = ranking_of(numbers)
    assert found.reorder(before) is before
    assert found.generator.asked == 0


def test_one_unreadable_answer_of_two_is_said():
    answers = iter([Answer("no"), Answer("[2] > [1] > [3]")])
    after = stage(lambda _: next(answers), depth=4, window=3, step=1).reorder(ranking_of([1, 2, 3, 4]))
    assert docids(after) == ["d2", "d1", "d3", "d4"]
    assert after.stage_two.applied
    assert after.stage_two.why == "1 of 2 answers of the generator hold no order"


def test_an_order_of_some_leaves_the_others():
    after = reordered(ranking_of(range(6)), Sorted((2, 0, 1), ()))
    assert docids(after) == ["d0", "d1", "d2", "d3", "d4", "d5"], "no window was answered"


def test_a_query_that_takes_too_long_is_left_as_it_was():
    def slow(chat):
        time.sleep(0.05)
        return knows_the_order(by_number)(chat)

    spec = ListwiseSpec(model="scripted", depth=40, remote=Remote(timeout=0.02))
    ranking = ListwiseStage(Scripted(slow), spec, fail_open=True).reorder(ranking_of(range(40)))
    assert docids(ranking) == docids(ranking_of(range(40)))
    assert ranking.stage_two.why == "stage two: not finished within 0.02 s"
    assert ranking.stage_two.why.reason is Reason.STAGE_TWO_TOO_SLOW
    with pytest.raises(ScorerUnavailable, match="not finished within"):
        ListwiseStage(Scripted(slow), spec).reorder(ranking_of(range(40)))


def test_options_of_a_url_are_refused_beside_a_local_generator():
    for options in ({"request": {"seed": 1}}, {"remote": Remote(model="m")}):
        with pytest.raises(ConfigurationError, match="only a generator at a URL takes it"):
            check_options(ListwiseSpec(model="dear-8b-listwise", **options))
