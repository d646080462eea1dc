"""Configure Sphinx for `make site`: the Markdown pages of the checkout as a site that loads nothing from elsewhere.

The source folder is the checkout itself, so links between README.md, docs/ and the other pages work on the site as on
the forge. The navigation is in `navigation.py`, because a table of contents in a page would be noise on the forge.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from navigation import PARTS, START  # noqa: E402 - Sphinx runs this file outside of any package

project = "rerank-sidecar"
author = copyright = "The rerank-sidecar authors"  # noqa: A001 - the name that Sphinx reads
version: dict[str, Any] = {}
exec((HERE.parents[1] / "sidecar" / "version.py").read_text(encoding="utf-8"), version)  # noqa: S102 - one constant
release = version = version["__version__"]

extensions = ["myst_parser"]
root_doc = START
include_patterns = ["*.md", "docs/**.md"]
# Folders are walked before the patterns above are compared, and an environment has 50,000 files.
exclude_patterns = [".*", "build", "dist", "benchmarks", "connectors", "docker", "requirements", "sidecar", "tests"]

myst_heading_anchors = 4
# A block that shows an answer in short is not valid JSON; it is then shown without colours.
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False


def add_navigation(_app: Any, docname: str, source: list[str]) -> None:
    """Append the table of contents to the first page; `source` holds the page's text."""
    if docname == START:
        for caption, pages in PARTS.items():
            listed = "\n".join(f"/{page}" for page in pages)
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"


def add_entrance(app: Any, error: Exception | None) -> None:
    """Write index.html, which leads to the first page."""
    if error is None and app.builder.name == "html":
        link = f'<meta charset="utf-8"><meta http-equiv="refresh" content="0; url={START}.html">'
        text = f'<!doctype html>{link}<title>{project}</title><a href="{START}.html">{project}</a>\n'
        (Path(app.outdir) / "index.html").write_text(text, encoding="utf-8")


def setup(app: Any) -> None:
    """Connect both functions to Sphinx's events."""
    app.connect("source-read", add_navigation)
    app.connect("build-finished", add_entrance)
