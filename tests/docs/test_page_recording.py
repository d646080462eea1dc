"""The recording of the page: its frames, and the file in the docs."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from docs.site.page_recording import Film

ROOT = Path(__file__).parents[2]


class Pages:
    """A page that shows one colour after the other."""

    def __init__(self, *colours):
        self.colours = iter(colours)
        self.evaluated = []

    def evaluate(self, script):
        self.evaluated.append(script)

    def screenshot(self):
        stream = io.BytesIO()
        Image.new("RGB", (8, 8), next(self.colours)).save(stream, "PNG")
        return stream.getvalue()


def test_a_picture_that_stays_is_one_frame_that_is_shown_longer():
    page = Pages("red", "red", "blue")
    film = Film(page)
    for milliseconds in (100, 250, 300):
        film.shoot(milliseconds)
    assert film.times == [350, 300]
    assert all(".times" in script for script in page.evaluated)
    with Image.open(io.BytesIO(film.written())) as picture:
        assert (picture.format, picture.n_frames, picture.info["loop"]) == ("WEBP", 2, 0)


def test_the_recording_in_the_docs_is_small_and_moves():
    path = ROOT / "docs" / "img" / "page.webp"
    assert path.stat().st_size < 1_000_000
    with Image.open(path) as picture:
        assert picture.n_frames > 20
