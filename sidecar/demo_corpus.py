"""The corpus of the demo: the documentation of the running Python, which every machine has and nobody must download.

One document for each public module, class, function and method of the standard library that has a docstring of its
own; the title is its qualified name, the text its docstring. Reads the live modules, so it imports most of the
library; what opens a window, prints or is deprecated is left out.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType

from sidecar.core.corpus import Document

# Jokes, tests, programs, windows, and modules that only hold what another public name shows.
# fmt: off
_LEFT_OUT = frozenset({
    "antigravity", "distutils", "encodings", "ensurepip", "idlelib", "imp", "lib2to3", "msilib", "nt", "ntpath",
    "nturl2path", "posix", "posixpath", "pydoc_data", "pyexpat", "readline", "rlcompleter", "sre_compile",
    "sre_constants", "sre_parse", "test", "this", "tkinter", "turtle", "turtledemo", "xxlimited", "xxlimited_35",
})
# fmt: on


def standard_library() -> list[Document]:
    """Return the documents in order of title, the same at every call in one Python (about 5,000, in about 2 s).

    A thing known by several names, as `asyncio.Queue` and `asyncio.queues.Queue`, is there once, by the shortest.
    """
    found: dict[int, tuple[str, object]] = {}
    with _quietly():
        # Shorter names first, so that the first name a thing is met by is the one to keep.
        for name in sorted(_module_names(), key=lambda name: (name.count("."), name)):
            module = _imported(name)
            if module is not None:
                _collect(name, module, found)
    documents = {}
    for title, thing in found.values():
        text = _docstring(thing)
        if text:
            documents[title] = Document(title, title, text)
    return [documents[title] for title in sorted(documents)]


def _collect(name: str, module: ModuleType, found: dict[int, tuple[str, object]]) -> None:
    found.setdefault(id(module), (name, module))
    for attribute, thing in _public(module):
        if not _belongs(thing, attribute, module):
            continue
        title = f"{name}.{attribute}" if name != "builtins" else attribute
        if id(thing) in found:
            continue
        found[id(thing)] = (title, thing)
        if inspect.isclass(thing):
            for method, defined in sorted(vars(thing).items()):
                if not method.startswith("_") and (callable(defined) or _wraps_function(defined)):
                    found.setdefault(id(defined), (f"{title}.{method}", defined))


def _public(module: ModuleType) -> Iterator[tuple[str, object]]:
    names = getattr(module, "__all__", None) or vars(module)
    for name in sorted(names):
        if not name.startswith("_"):
            thing = getattr(module, name, None)
            if inspect.isclass(thing) or inspect.isroutine(thing):
                yield name, thing


def _belongs(thing: object, attribute: str, module: ModuleType) -> bool:
    """Tell a module's own things from what it merely imported; `__all__` says so where there is one."""
    if attribute in getattr(module, "__all__", ()):
        return True
    home = getattr(thing, "__module__", None) or module.__name__
    return home.lstrip("_") == module.__name__


def _wraps_function(thing: object) -> bool:
    return isinstance(thing, classmethod | staticmethod | property)


def _docstring(thing: object) -> str:
    text = getattr(thing, "__doc__", None)
    return inspect.cleandoc(text).strip() if isinstance(text, str) else ""


def _module_names() -> Iterator[str]:
    for name in sys.stdlib_module_names:
        if not name.startswith("_") and name not in _LEFT_OUT:
            yield from _with_submodules(name)


def _with_submodules(name: str) -> Iterator[str]:
    yield name
    if name == "os":
        yield "os.path"
    path = getattr(_imported(name), "__path__", None)
    for module in pkgutil.iter_modules(path or []):
        if not module.name.startswith("_") and module.name not in {"test", "tests"}:
            yield from _with_submodules(f"{name}.{module.name}")


def _imported(name: str) -> ModuleType | None:
    """Import a module; None for one that this Python or this platform has not got."""
    try:
        return importlib.import_module(name)
    except (ImportError, OSError):
        return None


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
