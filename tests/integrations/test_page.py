"""The Python of docs/INTEGRATIONS.md runs; PyTerrier's, which needs a JVM, does so in `test_one_jvm.py`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.integrations,
    # Of the frameworks' own doing, while they are imported.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
PAGE = (Path(__file__).parents[2] / "docs" / "INTEGRATIONS.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^## ([^\n]*)\n(?:(?!^## ).)*?```python\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_framework_has_its_code():
    assert [title for title, _ in BLOCKS] == [
        "PyTerrier",
        "LangChain",
        "LlamaIndex",
        "Haystack",
        "Code written for sentence-transformers",
    ]


@pytest.mark.parametrize(("title", "code"), BLOCKS[1:], ids=[title for title, _ in BLOCKS[1:]])
def test_the_code_of_the_page_finds_the_flea(title, code, capsys):
    exec(code, {})
    printed = capsys.readouterr().out
    assert ("'corpus_id': 1" if "sentence" in title else "A flea lives for about a hundred days. ") in printed
