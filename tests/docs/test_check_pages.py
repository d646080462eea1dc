"""The check of the built site finds dead links, dead anchors and files of other hosts."""

from __future__ import annotations

import pytest

from docs.site.check_pages import problems

GOOD = '<h2 id="top">x</h2><a href="b%20c.html#there">x</a> <a href="https://example.org/">x</a> <a href="#top">x</a>'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (GOOD, None),
        ('<a href="gone.html">x</a>', "gone.html leads nowhere"),
        ('<a href="b%20c.html#here">x</a>', "b%20c.html#here has no such anchor"),
        ('<img src="sub/gone.png">', "sub/gone.png leads nowhere"),
        ('<script src="https://cdn.example.org/a.js"></script>', "loads https://cdn.example.org/a.js"),
        ('<link rel="stylesheet" href="//cdn.example.org/a.css">', "loads //cdn.example.org/a.css"),
    ],
)
def test_a_fault_of_a_page_is_found(tmp_path, text, fault):
    (tmp_path / "a.html").write_text(text)
    (tmp_path / "b c.html").write_text('<p id="there">x</p>')
    assert problems(tmp_path) == ([] if fault is None else [f"a.html: {fault}"])


@pytest.mark.parametrize("style", ["a{b:url(https://x.org/f)}", "@import 'http://x.org/f';", 'a{b:url( "//x.org/f")}'])
def test_a_style_sheet_that_loads_from_elsewhere_is_found(tmp_path, style):
    (tmp_path / "a.html").write_text("<p>")
    (tmp_path / "a.css").write_text(style)
    assert problems(tmp_path) == ["a.css: loads a file from elsewhere"]
    (tmp_path / "a.css").write_text(style.replace("https:", "").replace("http:", "").replace("//x.org/", "x/"))
    assert problems(tmp_path) == []


def test_an_empty_site_is_a_fault(tmp_path):
    assert problems(tmp_path) == [f"{tmp_path}: there is no page"]
