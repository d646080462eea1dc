"""The home of a test node of any engine: laid out from Maven Central once, and whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class NoNode(Exception):
    """Something that a node needs is not on this machine."""


def made_once(home: Path, recipe: Sequence[Path], lay_out: Callable[[Path], None], *, tools: Mapping[str, str]) -> Path:
    """Return a home that `lay_out` makes in an empty folder, unless it is there and was made by this very recipe.

    `recipe` are the files that decide what is made. `tools` are the commands it takes, with their names; raises
    `NoNode` if one of them is not on this machine.
    """
    home = home.resolve()  # Maven takes a relative folder to lie beside its own file
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in recipe)).hexdigest()
    stamp = home / "recipe"
    if stamp.exists() and stamp.read_text() == digest:
        return home
    if missing := [told for command, told in tools.items() if not shutil.which(command)]:
        raise NoNode(f"no {' and no '.join(missing)} to make a node with")
    home.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=home.parent, prefix=f"{home.name}."))
    try:
        lay_out(made)
        (made / "recipe").write_text(digest)
        # Only a whole home ever bears the name; if another session was quicker, this one replaces its equal.
        shutil.rmtree(home, ignore_errors=True)
        made.rename(home)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return home
