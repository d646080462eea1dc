"""Queries that are set aside, what is said of a training's gain, and the curve beside the card."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from sidecar.cli.train_command import outlook
from sidecar.core.candidates import Passage
from sidecar.training.curve import draw
from sidecar.training.development import Gain
from sidecar.training.groups import Group
from sidecar.training.held_out import hold_out


def group(query, labels=(0, 1), qid="q"):
    docids = [f"{query}-{at}" for at in range(len(labels))]
    return Group(qid, query, docids, [Passage("", docid) for docid in docids], list(labels))


def told():
    said = []
    return said, said.append


def test_a_share_of_the_queries_is_held_out_and_always_the_same_ones():
    groups = [group(f"query {number}") for number in range(40)]
    said, tell = told()
    kept, lists = hold_out(groups, 0.1, tell)
    assert (len(kept), len(lists.queries)) == (36, 4)
    assert said == ["4 of 40 queries are held out, to measure at the end what the training has gained."]
    held = {query for _, query, _ in lists.queries}
    assert held.isdisjoint(one.query for one in kept)
    _, again = hold_out(list(reversed(groups)), 0.1, tell)
    assert {query for _, query, _ in again.queries} == held
    # The relevant passage comes second: 1 / log2(3).
    assert lists.first_stage() == pytest.approx(0.6309, abs=1e-4)


def test_all_lists_of_one_query_are_on_one_side_however_it_is_written():
    groups = [group(text) for number in range(12) for text in (f"Query {number}?", f"query  {number}")]
    kept, lists = hold_out(groups, 0.25, lambda _: None)
    assert (len(kept), len(lists.queries)) == (18, 6)


@pytest.mark.parametrize(("count", "share"), [(9, 0.5), (40, 0.0)])
def test_nothing_is_held_out_of_few_queries_or_for_a_share_of_nothing(count, share):
    groups = [group(f"query {number}") for number in range(count)]
    said, tell = told()
    assert hold_out(groups, share, tell) == (groups, None)
    assert said == []


def test_at_most_200_are_held_out_and_only_what_can_be_measured():
    many = [group(f"query {number}") for number in range(3000)]
    assert len(hold_out(many, 0.5, lambda _: None)[1].queries) == 200
    unlabelled = [group(f"query {number}", labels=(None, None)) for number in range(40)]
    assert hold_out(unlabelled, 0.5, lambda _: None) == (unlabelled, None)


def test_a_loss_is_said_loudly_and_names_what_was_better():
    gain = Gain(queries=4, trained=0.1245, first_stage=0.3441, start=0.41, chosen=False)
    lines = list(outlook(gain, Path("my model")))
    assert lines[0] == (
        "nDCG@10 on 4 held-out queries (so few show only large differences): trained 0.1245, "
        "the order that came in 0.3441, the model that it started from 0.4100."
    )
    assert lines[1].startswith(
        "WARNING: the trained model ranks worse than the order that came in (0.3441) and the model that it started "
        "from (0.4100). Do not serve it."
    )
    assert lines[2].startswith("Next: sidecar teach")


def test_a_gain_leads_on_to_serving():
    gain = Gain(queries=20, trained=0.5, first_stage=0.5, start=None, chosen=True)
    measured, following = outlook(gain, Path("my model"))
    assert measured == (
        "nDCG@10 on 20 development lists, on which the checkpoint was chosen: trained 0.5000, "
        "the order that came in 0.5000."
    )
    assert following == "Next: sidecar serve --model 'my model'"
    assert next(iter(outlook(None, Path("out")))).startswith("Nothing was measured")


def test_the_curve_is_an_svg_with_its_figures_and_the_same_each_time(tmp_path):
    gain = Gain(queries=4, trained=0.6, first_stage=0.3, start=0.4, chosen=True)
    outcome = SimpleNamespace(losses={1: 0.7, 2: 0.5}, figures={1: 0.5, 2: 0.6}, gain=gain)
    assert draw(outcome, tmp_path / "a.svg", pytest.fail)
    assert draw(outcome, tmp_path / "b.svg", pytest.fail)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    text = " ".join(ET.parse(tmp_path / "a.svg").getroot().itertext())
    assert all(label in text for label in ("nDCG@10", "the order that came in", "where it started", "loss", "step"))


def test_without_a_loss_or_matplotlib_there_is_no_curve(tmp_path, monkeypatch):
    nothing = SimpleNamespace(losses={}, figures={}, gain=None)
    assert not draw(nothing, tmp_path / "a.svg", pytest.fail)
    said, tell = told()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not draw(SimpleNamespace(losses={1: 0.5}, figures={}, gain=None), tmp_path / "a.svg", tell)
    assert "matplotlib is not installed" in said[0]
    assert list(tmp_path.iterdir()) == []
