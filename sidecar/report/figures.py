"""The figures of a report: means with their intervals, gains by query, curves, and distributions of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from sidecar.report.statistics import Values, interval
from sidecar.report.svg import (
    COLOURS,
    WIDTH,
    Figure,
    Scale,
    across,
    bars,
    dot,
    join,
    kind_of,
    legend,
    line,
    polyline,
    short,
    shortened,
    text,
    ticks,
    upward,
)

_LEFT, _RIGHT, _LABELS = 56, WIDTH - 32, 210
_ROW, _PLOT = 26, 240
# Narrowest bar of a gain in pixels: of more queries, a bar is the mean of several.
_NARROWEST = 2
_BINS = 30


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of a figure: the position of its run, its name and its points."""

    run: int
    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Group:
    """Scores of one kind of hit, such as the relevant ones."""

    name: str
    scores: Values


def means(names: Sequence[str], values: Sequence[Values], measure: str) -> Figure:
    """Draw the mean of each run with its confidence interval."""
    spans = [interval(row) for row in values]
    ends = [float(row.mean()) for row in values] + [end for span in spans for end in span if end is not None]
    scale = Scale(min(ends) - 0.01, max(ends) + 0.01, _LABELS, _RIGHT)
    bottom = 10 + _ROW * len(names)
    parts = [across(scale, ticks(scale.low, scale.high), (10, bottom), f"mean {measure}")]
    for place, (name, row, (low, high)) in enumerate(zip(names, values, spans, strict=True)):
        y, colour = 10 + _ROW * (place + 0.5), place % COLOURS
        parts.append(text(_LABELS - 10, y + 4, shortened(name, 32), "label", "end"))
        if low is not None and high is not None:
            parts.append(line(scale(low), y, scale(high), y, f"line c{colour}"))
        parts.append(dot(scale(float(row.mean())), y, f"f{colour}", 5))
    caption = (
        f"Mean {measure} of each run over {len(values[0])} queries, with the 95% confidence interval of the mean. "
        "Intervals may overlap although a paired test finds a difference: the same queries are easy for both runs."
    )
    return Figure("means", f"Mean {measure} by run", caption, WIDTH, bottom + 44, join(parts))


def gains(run: int, name: str, baseline: str, differences: Values, measure: str) -> Figure:
    """Draw the difference of each query to the baseline, the largest gain first."""
    ordered = np.sort(differences)[::-1]
    most = (_RIGHT - _LEFT) // _NARROWEST
    each = -(-len(ordered) // most)
    heights = [float(ordered[start : start + each].mean()) for start in range(0, len(ordered), each)]
    reach = max(1e-9, *map(abs, heights))
    scale = Scale(-reach, reach, 190, 24)
    wide = (_RIGHT - _LEFT) / len(heights)
    boxes = [
        (_LEFT + place * wide, scale(max(0.0, h)), wide * 0.9, abs(scale(h) - scale(0)))
        for place, h in enumerate(heights)
    ]
    parts = [
        upward(scale, ticks(-reach, reach, 4), (_LEFT, _RIGHT), f"gain in {measure}"),
        bars([box for box, h in zip(boxes, heights, strict=True) if h > 0], "bar pos"),
        bars([box for box, h in zip(boxes, heights, strict=True) if h < 0], "bar neg"),
        line(_LEFT, scale(0), _RIGHT, scale(0), "zero"),
    ]
    one = "Each bar is a query" if each == 1 else f"Each bar is the mean of {each} queries next to each other"
    caption = (
        f"{one}, sorted by gain: {int((differences > 0).sum())} better than {baseline}, "
        f"{int((differences == 0).sum())} equal, {int((differences < 0).sum())} worse."
    )
    return Figure(f"gains-{run}", f"Gain of {name} over {baseline} by query", caption, WIDTH, 204, join(parts))


def curves(name: str, title: str, caption: str, found: Sequence[Curve], axes: tuple[str, str]) -> Figure:
    """Draw curves over a logarithmic horizontal axis; `axes` are the labels of the two."""
    xs = sorted({x for curve in found for x, _ in curve.points})
    ys = [y for curve in found for _, y in curve.points]
    low, high = min(ys), max(ys)
    space = max((high - low) * 0.05, 0.005)
    x = Scale(xs[0], max(xs[-1], xs[0] + 1), _LEFT, _RIGHT, log=True)
    y = Scale(max(0.0, low - space), min(1.0, high + space), _PLOT, 30)
    marks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if xs[0] <= tick <= xs[-1]]
    parts = [
        upward(y, ticks(y.low, y.high), (_LEFT, _RIGHT), axes[1]),
        across(x, marks, (30, _PLOT), axes[0]),
    ]
    kinds = [kind_of(curve.run) for curve in found]
    for curve, kind in zip(found, kinds, strict=True):
        parts.append(polyline([(x(one), y(two)) for one, two in curve.points], kind))
        parts += [dot(x(one), y(two), f"f{curve.run % COLOURS}", 2.5) for one, two in curve.points]
    top = _PLOT + 56
    parts.append(legend([curve.name for curve in found], kinds, (_LEFT, top)))
    return Figure(name, title, caption, WIDTH, top + 18 * (-(-len(found) // 2)) + 4, join(parts))


def scores(run: int, name: str, what: str, groups: Sequence[Group]) -> Figure:
    """Draw the distribution of the scores of each group of hits, as the share of the group in each of 30 bins.

    No group is empty.
    """
    every = np.concatenate([group.scores for group in groups])
    low, high = float(every.min()), float(every.max())
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    shares = [np.histogram(group.scores, edges)[0] / len(group.scores) for group in groups]
    x, y = Scale(edges[0], edges[-1], _LEFT, _RIGHT), Scale(0, max(float(row.max()) for row in shares), 150, 24)
    parts = [
        upward(y, ticks(0, y.high, 3), (_LEFT, _RIGHT), "share of the hits"),
        across(x, ticks(x.low, x.high), (24, 150), what),
    ]
    kinds = [f"line {kind}" for kind in ("c3", "c2 d1", "c0 d2")[: len(groups)]] if len(groups) > 1 else ["line c1"]
    for row, kind in zip(shares, kinds, strict=True):
        steps = [(x(edge), y(share)) for i, share in enumerate(row) for edge in (edges[i], edges[i + 1])]
        parts.append(polyline(steps, kind))
    parts.append(legend([f"{group.name} ({len(group.scores)})" for group in groups], kinds, (_LEFT, 204), columns=3))
    caption = (
        f"Distribution of the {what} of {name}: for each kind of hit, the share of its hits in each of {_BINS} bins."
    )
    return Figure(f"scores-{run}", f"Scores of {name}", caption, WIDTH, 216, join(parts))


def slopes(moves: Sequence[tuple[int | None, int | None]], depth: int) -> Markup:
    """Draw lines from ranks at the left to ranks at the right, for two lists of `depth` rows of the same height.

    A rank is from 1; None, or one beyond the depth, leads out of the drawing at the bottom. The drawing is decoration
    beside lists that say the same in words.
    """
    parts = []
    for before, after in moves:
        inside = [rank is not None and rank <= depth for rank in (before, after)]
        ends = [rank - 0.5 if rank is not None and rank <= depth else depth + 0.3 for rank in (before, after)]
        kind = "same" if before == after else "up" if inside[1] and ends[1] < ends[0] else "down"
        path = f"M0 {short(ends[0] * 20)}C50 {short(ends[0] * 20)} 50 {short(ends[1] * 20)} 100 {short(ends[1] * 20)}"
        parts.append(Markup('<path d="{}" class="move {}"/>').format(path, kind))
    return Markup(
        '<svg class="figure moves" viewBox="0 0 100 {}" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(depth * 20, join(parts))
