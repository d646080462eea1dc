"""The pages of the reference that come from the code are as the code is; tests/test_docs.py has the other two."""

from __future__ import annotations

import re
from pathlib import Path

from docs.site import errors_page, python_page

ROOT = Path(__file__).parents[2]


def test_every_error_is_documented_as_it_is():
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert page == errors_page.page(), "run `make docs`"
    assert {one.__name__ for one in errors_page.classes()} == set(re.findall(r"^## `(\w+)`$", page, re.MULTILINE))
    assert len(re.findall(r"^\| `", page, re.MULTILINE)) > 200


def test_every_public_name_has_its_signature_and_docstring():
    page = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    assert page == python_page.page(), "run `make docs`"
    names = [name for package in python_page.PACKAGES for name in package.__all__]
    assert sorted(re.findall(r"^### `(\w+)`$", page, re.MULTILINE)) == sorted(names)
