"""Check the built site: every link inside it leads to a page and an anchor, and no page loads anything from elsewhere.

`python docs/site/check_pages.py build/site` prints what is wrong, and ends with status 1 if something is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Element → the attribute whose address a browser loads by itself. Of `link` only style sheets, icons and fonts count.
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
FOLLOWED = {"a": "href"}


class Page(HTMLParser):
    """The anchors of a page, the addresses that it loads, and those that its links name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.loaded: list[str] = []
        self.followed: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what one element holds."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if LOADED.get(tag) in values:
            self.loaded.append(values[LOADED[tag]])
        if FOLLOWED.get(tag) in values:
            self.followed.append(values[FOLLOWED[tag]])


def problems(folder: Path) -> list[str]:
    """Return what is wrong with the site in a folder, a line for each fault."""
    root = folder.resolve()
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in root.rglob("*.html")}
    found = [] if pages else [f"{folder}: there is no page"]
    for path, page in pages.items():
        faults = [f"loads {one}" for one in page.loaded if urlsplit(one).netloc]
        faults += [fault for one in (*page.loaded, *page.followed) if (fault := dead(one, path, pages))]
        found += [f"{path.relative_to(root)}: {fault}" for fault in faults]
    for path in root.rglob("*.css"):
        if loads_elsewhere(path.read_text(encoding="utf-8")):
            found.append(f"{path.relative_to(root)}: loads a file from elsewhere")
    return found


def dead(address: str, origin: Path, pages: Mapping[Path, Page]) -> str:
    """Say what is wrong with an address in the page `origin`; nothing if it is fine or leads out of the site."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return ""
    aim = (origin.parent / unquote(parts.path)).resolve() if parts.path else origin
    if not aim.exists():
        return f"{address} leads nowhere"
    anchor = unquote(parts.fragment)
    return f"{address} has no such anchor" if anchor and aim in pages and anchor not in pages[aim].anchors else ""


def loads_elsewhere(style: str) -> bool:
    """Return whether a style sheet loads a file of another host."""
    return bool(re.search(r"""(url\(\s*["']?|@import\s+["'])(https?:)?//""", style))


if __name__ == "__main__":
    lines = problems(Path(sys.argv[1]))
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.exit(bool(lines))
