import json
import re

import pytest
from rich.console import Console

from sidecar.bench import plot
from sidecar.bench.report import Machine, Point, Report, WorkFigures, lines, write
from sidecar.bench.rounds import Timing
from sidecar.bench.system import System
from sidecar.bench.tables import notes, series, table
from sidecar.core.errors import ConfigurationError, InputError

MACHINE = Machine("a CPU", "cpu", "float32", 50.0, {"torch": "2"})
WORK = WorkFigures(
    "a model", "pairs.jsonl", 1, 2, 20, 10.0, 2, "cut to 2 pairs", {"rerankers": "can't be imported: [no]"}
)


def make_report(names=("card-helper-228", "sentence-transformers", "ours")):
    systems = [System(name, f"about {name}", lambda _: [], added=1_000_000, first_score=2.5) for name in names]
    timings = [
        Timing([[0.0, 1.0 + 0.1 * index]], [4.0 / (index + 1), 8.0 / (index + 1)], peak=500_000)
        for index in range(len(names))
    ]
    return Report(MACHINE, WORK, lines(systems, timings, [[0.0, 1.0]], work=WORK, machine=MACHINE))


def test_figures_of_a_line():
    card, _, ours = make_report().systems

    assert (ours.median_s, ours.spread_s) == (2.0, pytest.approx(2 / 3))
    assert (ours.pairs_per_s, ours.tokens_per_s, ours.gflops, ours.share_of_peak) == (1.0, 10.0, 5.0, 0.1)
    assert ours.times_card == (pytest.approx(3.0), pytest.approx(0.0))
    assert ours.times_sentence_transformers == (pytest.approx(1.5), pytest.approx(0.0))
    assert (ours.memory_mb, ours.first_score_s) == (1.5, 2.5)
    assert (card.max_diff_sigma, ours.max_diff_sigma) == (0.0, pytest.approx(0.4))
    assert ours.tau == pytest.approx(1.0)


def test_without_a_yardstick_there_is_no_ratio():
    [ours] = make_report(["ours"]).systems

    assert (ours.times_card, ours.times_sentence_transformers) == (None, None)


def test_json_holds_machine_work_and_systems(tmp_path):
    write(make_report(), tmp_path / "bench.json")
    found = json.loads((tmp_path / "bench.json").read_text())

    assert list(found) == ["machine", "work", "systems"]
    assert [one["name"] for one in found["systems"]] == ["card-helper-228", "sentence-transformers", "ours"]
    assert {"name", "median_s", "spread_s", "pairs_per_s", "max_diff_sigma", "tau"} <= found["systems"][0].keys()
    assert found["work"]["left_out"] == {"rerankers": "can't be imported: [no]"}


def test_json_is_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(InputError):
        write(make_report(), tmp_path / "nowhere" / "bench.json")


def shown(*parts):
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    for part in parts:
        console.print(part)
    return console.export_text()


def test_the_table_names_systems_and_ratios():
    text = shown(table(make_report()))

    assert re.search(r"^system +median s +pairs/s +tokens/s +of peak +MB +first s +max Δ σ +τ +× card +× s-t", text)
    assert re.search(r"ours +2\.000 ±0\.667 +1\.0 +10 +10% +2 +2\.5 +4\.0e-01 +1\.0000 +3\.00 ±0\.00 +1\.50", text)


def test_what_was_cut_and_left_out_is_said():
    text = shown(*notes(make_report()))

    assert "cut to 2 pairs" in text
    assert "left out: rerankers: can't be imported: [no]" in text
    assert "20 real tokens" in text


def test_series_are_shown_where_there_are_any():
    report = make_report()
    assert series(report) is None

    report.systems[2].by_documents.append(Point(100, 0.5, 200.0))
    assert re.search(r"ours +documents +100 +0\.500 +200\.0", shown(series(report)))


def test_a_plot_of_another_format_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"\.png or \.svg"):
        plot.check(tmp_path / "bench.gif")


def test_a_plot_without_matplotlib_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(ConfigurationError) as caught:
        plot.check(tmp_path / "bench.svg")

    assert "rerank-sidecar[bench]" in caught.value.remedy
