"""The picture of a terminal: it holds what was printed, without times, and loads nothing."""

from __future__ import annotations

import re
from html import unescape

from docs.site.recording import picture

OUTPUT = "\x1b[1mread in 1.2 s, and more\x1b[0m\n\x1b[1;36ma <question>\x1b[0m\n 1  answer ↑17\nscoring 3 ms\n\nnext\n"


def words(svg):
    return unescape(" ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))).replace("\xa0", " ")


def test_what_is_printed_is_in_the_picture_without_times():
    shown = words(picture(["sidecar", "demo", "a question"], OUTPUT))
    assert "$ sidecar demo 'a question'" in shown
    assert "a <question>" in shown
    assert " 1  answer ↑17" in shown
    assert not re.search(r"\d m?s|next", shown)


def test_a_picture_loads_nothing_and_is_the_same_each_time():
    drawn = picture(["x"], OUTPUT)
    assert re.findall(r"https?://[^\"]*", drawn) == ["http://www.w3.org/2000/svg"]
    assert "@import" not in drawn
    assert "url(#" in drawn  # clips within the picture
    assert re.findall(r"url\((?!#)", drawn) == []
    assert drawn == picture(["x"], OUTPUT)
