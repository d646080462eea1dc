"""The manifest of a run: all that is needed to repeat it, and no secret."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from sidecar.core.atomic_write import atomic_write
from sidecar.core.errors import InputError
from sidecar.experiments.journal import Journal
from sidecar.experiments.run_files import count_hits
from sidecar.version import __version__

LIBRARIES = ("torch", "transformers", "openvino", "tokenizers", "peft", "accelerate", "pyserini", "opensearch-py")


@dataclass(frozen=True, slots=True)
class RunManifest:
    """The decisions behind a run: `settings` as the journal compares them, the `model` found, the `first_stage`.

    `from_score_file` counts the passages whose scores this process took from the score file.
    """

    command: str
    settings: Mapping[str, Any]
    model: Mapping[str, Any]
    first_stage: Mapping[str, Any]
    from_score_file: int = 0

    def write(self, output: Path, journal: Journal, *, seconds: float, resumed: int) -> Path:
        """Write `OUTPUT.manifest.json`, completely or not at all; counts are of the whole journal.

        `seconds` are those of the last process alone, which found `resumed` queries finished. Raises `InputError`, also
        if no query has a candidate: then there is no run, and the journal is removed.
        """
        queries = hits = passages = 0
        bare: list[str] = []
        for line in journal.lines():
            qid, found, scored = count_hits(line)
            queries, hits, passages = queries + 1, hits + found, passages + scored
            bare += [] if found else [qid]
        if not hits:
            journal.remove()
            raise InputError(
                f"none of the {queries} queries has a candidate, so {output} is not written.",
                remedy="Do the queries belong to this index or file?",
            )
        content = {
            "output": output.name,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": self.command,
            "settings": self.settings,
            "model": self.model,
            "first_stage": self.first_stage,
            "versions": versions(),
            "queries": queries,
            "hits": hits,
            "passages_scored": passages,
            "passages_from_score_file": self.from_score_file,
            "queries_without_candidates": bare,
            "queries_resumed": resumed,
            "seconds": round(seconds, 3),
        }
        path = output.with_name(f"{output.name}.manifest.json")
        with atomic_write(path) as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n")
        return path


def versions() -> dict[str, str]:
    """Return our version, Python's and those of the libraries that decide scores, if they are installed."""
    found = {"rerank-sidecar": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
