"""Writes docs/errors.md from the code: `python -m docs.site.errors_page > docs/errors.md`, or `make docs`.

Each error class with its meaning, and every message that the code raises it with. What depends on the case is `…`.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from sidecar.core import errors

ROOT = Path(__file__).parents[2]

_HEAD = """\
# Error messages

`make docs` writes this page from the code. Every error has a message and mostly a remedy. The command line prints both
after `error:` and ends with exit status 1; in Python they are the `message` and `remedy` of a `SidecarError`. The text
that depends on the case is shown as `…`. Reasons of searches that are not reranked are in
[metrics](metrics.md); statuses of the rerank API in [its page](API.md#statuses).
"""


def classes() -> list[type[errors.SidecarError]]:
    """Return the error classes in the order of their module."""
    return [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.SidecarError)]


def messages() -> dict[str, set[tuple[str, str]]]:
    """Return the messages and remedies that the packages raise, by the name of the error's class."""
    names = {one.__name__ for one in classes()}
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for package in ("sidecar", "connectors"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and _name(node.func) in names and node.args:
                    remedies = [one.value for one in node.keywords if one.arg == "remedy"]
                    words = _text(node.args[0]), _text(remedies[0]) if remedies else ""
                    # A text that is made elsewhere has no words of its own here.
                    if words[0].strip("… "):
                        found[_name(node.func)].add(words)
    return found


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _text(node: ast.expr) -> str:
    """Return the words of a string, with `…` for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return "…"


def page() -> str:
    """Return the page."""
    return _HEAD + "".join(_sections())


def _sections() -> Iterator[str]:
    found = messages()
    for one in classes():
        parent = "" if one is errors.SidecarError else f" Is a `{one.__bases__[0].__name__}`."
        yield f"\n## `{one.__name__}`\n\n{(one.__doc__ or '').splitlines()[0]}{parent}\n"
        if rows := sorted(found[one.__name__], key=lambda row: (row[0].strip("… ").lower(), row)):
            yield "\n| message | what to do |\n| --- | --- |\n"
            yield from (f"| {_cell(message)} | {_cell(remedy)} |\n" for message, remedy in rows)


def _cell(text: str) -> str:
    words = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return f"`{words}`" if words else ""


if __name__ == "__main__":
    sys.stdout.write(page())
