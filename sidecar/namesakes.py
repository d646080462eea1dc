"""Finds what other packages of the names `sidecar` and `connectors` do to ours; it imports none of them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path

# Distributions on PyPI that install packages of the same import names as ours.
NAMES = ("sidecar", "connectors")


@dataclass(frozen=True, slots=True)
class Namesake:
    """A package that stands in the place of one of ours: what it is, and what to do."""

    message: str
    remedy: str


def find_namesake(folder: Path = Path(__file__).parents[1]) -> Namesake | None:
    """Return what lies over our packages, which are in `folder`; None where nothing does."""
    found = importlib.util.find_spec("connectors")
    places = [Path(place).resolve() for place in (found and found.submodule_search_locations) or ()]
    if places and places[0].parent != folder.resolve():
        return Namesake(
            f"`import connectors` gives {places[0]}, which is not rerank-sidecar's package of that name.",
            "Rename that folder, uninstall what brought it, or start Python where it does not come first on the path.",
        )
    for name in NAMES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        return Namesake(
            f"the distribution {name!r} {version} is installed here, and its package has the same name as ours.",
            f"Use a fresh environment, or: pip uninstall {name}, and install rerank-sidecar again.",
        )
    return None
