"""Writes docs/python-api.md from the public names (`make docs`): `python -m docs.site.python_page`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from enum import Enum
from typing import Any

import connectors.opensearch
import connectors.pyserini
import sidecar

PACKAGES = (sidecar, connectors.opensearch, connectors.pyserini)
_WIDTH = 100

_HEAD = """\
# Python reference

`make docs` writes this page from the code: the signature and the docstring of every public name, and of its public
methods. [Python API](PYTHON.md) says what is public and how stable it is.
"""


def page() -> str:
    """Return the page: a section for each package, in it one for each name that it exports."""
    return _HEAD + "".join(part for package in PACKAGES for part in _package(package))


def _package(package: Any) -> Iterator[str]:
    yield f"\n## `{package.__name__}`\n"
    for name in sorted(package.__all__, key=lambda name: (name.startswith("_"), name.lower())):
        thing = getattr(package, name)
        if not callable(thing):
            yield f"\n### `{name}`\n\nA {type(thing).__name__}.\n"
            continue
        yield f"\n### `{name}`\n\n{_described(name, thing)}"
        if inspect.isclass(thing):
            yield from _methods(thing)


def _methods(owner: type) -> Iterator[str]:
    for name, member in vars(owner).items():
        if name.startswith("_"):
            continue
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if isinstance(member, property):
            yield f"\n`{name}`: {_first_line(member)}\n"
        elif inspect.isfunction(function):
            yield f"\n{_described(name, function)}"


def _described(name: str, thing: Any) -> str:
    text = inspect.cleandoc(thing.__doc__ or "") if "SidecarError" not in name else _first_line(thing)
    return f"```python\n{_signature(name, thing)}\n```\n\n{text}\n"


def _signature(name: str, thing: Any) -> str:
    try:
        found = inspect.signature(thing)
    except ValueError:
        return name
    parameters = [_bare(one) for one in found.parameters.values() if one.name != "self"]
    result = (
        "" if found.return_annotation is found.empty or inspect.isclass(thing) else f" -> {found.return_annotation}"
    )
    line = f"{name}{inspect.Signature(parameters)}{result}"
    if len(line) <= _WIDTH:
        return line
    return f"{name}(\n" + "".join(f"    {one},\n" for one in _marked(parameters)) + f"){result}"


class _Bare(str):
    """A text that a signature shows without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _bare(parameter: inspect.Parameter) -> inspect.Parameter:
    """Return the parameter with its annotation and a default that is an enumeration's value as plain words."""
    default = parameter.default
    shown = _Bare(f"{type(default).__name__}.{default.name}") if isinstance(default, Enum) else default
    kept = parameter.annotation is parameter.empty
    return parameter.replace(annotation=parameter.annotation if kept else _Bare(parameter.annotation), default=shown)


def _marked(parameters: list[inspect.Parameter]) -> Iterator[str]:
    """Yield the parameters, and `/` and `*` where a signature has them."""
    before = None
    for one in parameters:
        if before == one.POSITIONAL_ONLY != one.kind:
            yield "/"
        if one.kind == one.KEYWORD_ONLY and before not in {one.KEYWORD_ONLY, one.VAR_POSITIONAL}:
            yield "*"
        yield str(one)
        before = one.kind


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


if __name__ == "__main__":
    sys.stdout.write(page())
