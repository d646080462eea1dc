"""Parts of an SVG drawing as text: axes, lines, marks and labels. Every text is escaped, every id follows from a name.

Colours come from `figure.css` by class, so that a drawing follows the light or dark theme of its page. Coordinates are
in pixels of the drawing, from the top left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from markupsafe import Markup, escape

WIDTH = 776
# Classes of colours, and of dashes that change when the colours begin again.
COLOURS, DASHES = 8, 3


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing: `name` is unique in a report and is its file name, `caption` says how to read it."""

    name: str
    title: str
    caption: str
    width: int
    height: int
    body: Markup

    def __html__(self) -> str:
        """Return the drawing as an element of a page."""
        return self._element("")

    def as_file(self) -> str:
        """Return the drawing as a file of its own, with its style."""
        style = files("sidecar.report").joinpath("figure.css").read_text(encoding="utf-8")
        head = '<?xml version="1.0" encoding="UTF-8"?>\n'
        return head + self._element(f"<style>{style}</style>", 'xmlns="http://www.w3.org/2000/svg" ') + "\n"

    def _element(self, style: str, space: str = "") -> str:
        size = f'viewBox="0 0 {self.width} {self.height}" width="{self.width}" height="{self.height}"'
        name = escape(self.name)
        return (
            f'<svg {space}class="figure" role="img" aria-labelledby="{name}-t {name}-d" {size}>'
            f'<title id="{name}-t">{escape(self.title)}</title><desc id="{name}-d">{escape(self.caption)}</desc>'
            f"{style}{self.body}</svg>"
        )


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from `low` to `high` to pixels from `start` to `end`; with `log`, by their logarithms."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high, value = (
            (math.log(self.low), math.log(self.high), math.log(value)) if self.log else (self.low, self.high, value)
        )
        return self.start + (self.end - self.start) * ((value - low) / (high - low) if high > low else 0.5)


def join(parts: Iterable[Markup]) -> Markup:
    """Return parts one after the other."""
    return Markup("").join(parts)


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> Markup:
    """Return a line of text; `anchor` says which end of it is at x."""
    return Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>').format(
        short(x), short(y), kind, anchor, content
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """Return a straight line."""
    return Markup('<path d="M{} {}L{} {}" class="{}"/>').format(short(x1), short(y1), short(x2), short(y2), kind)


def polyline(points: Sequence[tuple[float, float]], kind: str) -> Markup:
    """Return a line through points."""
    path = "L".join(f"{short(x)} {short(y)}" for x, y in points)
    return Markup('<path d="M{}" class="{}"/>').format(path, kind)


def bars(boxes: Iterable[tuple[float, float, float, float]], kind: str) -> Markup:
    """Return boxes of one colour as one path; each is x, y, width and height."""
    path = "".join(f"M{short(x)} {short(y)}h{short(w)}v{short(h)}h{short(-w)}z" for x, y, w, h in boxes)
    return Markup('<path d="{}" class="{}"/>').format(path, kind) if path else Markup("")


def dot(x: float, y: float, kind: str, radius: float = 4) -> Markup:
    """Return a filled circle."""
    return Markup('<circle cx="{}" cy="{}" r="{}" class="{}"/>').format(short(x), short(y), short(radius), kind)


def across(scale: Scale, marks: Sequence[float], heights: tuple[float, float], label: str) -> Markup:
    """Return a horizontal axis below a plot between two heights, with lines through the plot at the marks."""
    top, bottom = heights
    parts = [line(scale(mark), top, scale(mark), bottom, "grid") for mark in marks]
    parts += [text(scale(mark), bottom + 16, number(mark), "tick", "middle") for mark in marks]
    return join([*parts, text((scale.start + scale.end) / 2, bottom + 34, label, "label", "middle")])


def upward(scale: Scale, marks: Sequence[float], sides: tuple[float, float], label: str) -> Markup:
    """Return a vertical axis at the left of a plot between two sides, with lines through it; its label is above it."""
    left, right = sides
    parts = [line(left, scale(mark), right, scale(mark), "grid") for mark in marks]
    parts += [text(left - 6, scale(mark) + 4, number(mark), "tick", "end") for mark in marks]
    return join([*parts, text(left - 6, scale.end - 10, label, "label")])


def legend(names: Sequence[str], kinds: Sequence[str], corner: tuple[float, float], columns: int = 2) -> Markup:
    """Return a key of lines from its upper left corner: a sample and a name for each, in columns."""
    wide = (WIDTH - corner[0]) / columns
    parts = []
    for place, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        left, top = corner[0] + (place % columns) * wide, corner[1] + (place // columns) * 18
        parts += [line(left, top, left + 26, top, kind), text(left + 32, top + 4, shortened(name, 44), "tick")]
    return join(parts)


def kind_of(place: int) -> str:
    """Return the classes of the line of the n-th run: a colour and, from the ninth on, another dash."""
    return f"line c{place % COLOURS} d{place // COLOURS % DASHES}"


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers from `low` to `high`, at most about `most`."""
    if high <= low:
        return [low]
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * (1 - 1e-9))
    return [
        round(place * step, 12) for place in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def number(value: float) -> str:
    """Return a number for an axis, without noise in its last digits."""
    return f"{value:.6g}".replace("-", "−")


def short(value: float) -> str:
    """Return a coordinate with at most one decimal place."""
    return f"{value:.1f}".removesuffix(".0")


def shortened(name: str, most: int) -> str:
    """Return a name, with its middle left out if it is longer than `most` characters."""
    keep = (most - 1) // 2
    return name if len(name) <= most else f"{name[:keep]}…{name[-keep:]}"
