"""Draw a report: pairs a second by system, with the spread over the rounds."""

from __future__ import annotations

from pathlib import Path

from sidecar.bench.report import Report
from sidecar.core.errors import ConfigurationError, InputError

_OURS, _OTHERS = "#c2410c", "#64748b"
FORMATS = (".png", ".svg")


def check(path: Path) -> None:
    """Raise ConfigurationError if no plot can be drawn: for another format, or without matplotlib."""
    import importlib.util

    if path.suffix not in FORMATS:
        raise ConfigurationError(f"A plot is {' or '.join(FORMATS)}, not {path.suffix or path.name!r}.")
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigurationError(
            "A plot needs matplotlib, which is not installed.", remedy="pip install 'rerank-sidecar[bench]'"
        )


def draw(report: Report, path: Path) -> None:
    """Draw one bar for each system, the fastest on top. Raises InputError if the file can't be written."""
    from matplotlib.figure import Figure

    lines = sorted(report.systems, key=lambda line: line.pairs_per_s)
    rates = [[report.work.pairs / seconds for seconds in line.rounds_s] for line in lines]
    figure = Figure(figsize=(9, 1.2 + 0.36 * len(lines)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(
        [line.name for line in lines],
        [line.pairs_per_s for line in lines],
        xerr=[
            [line.pairs_per_s - min(rate) for line, rate in zip(lines, rates, strict=True)],
            [max(rate) - line.pairs_per_s for line, rate in zip(lines, rates, strict=True)],
        ],
        color=[_OURS if line.name.startswith("ours") else _OTHERS for line in lines],
        error_kw={"elinewidth": 0.8, "capsize": 2},
    )
    for index, line in enumerate(lines):
        ratio = "" if line.times_card is None else f"  {line.times_card[0]:.1f} × card"
        axes.text(0, index, f" {line.pairs_per_s:.0f}{ratio}", va="center", color="white", fontsize=8)
    axes.set_xlabel("pairs a second; the line spans the slowest and the fastest round")
    axes.set_title(f"{report.work.model}, {report.machine.dtype}\n{report.machine.name}", fontsize=9)
    try:
        figure.savefig(path)
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror or error}.") from error
