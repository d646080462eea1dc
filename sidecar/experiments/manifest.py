"""The manifest of a run: all that is needed to repeat it, and no secret."""

from __future__ import annotations

import importlib.metadata
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from sidecar.core.atomic_write import atomic_write
from sidecar.core.errors import InputError
from sidecar.core.stage_two import count_answers
from sidecar.experiments.run_files import count_hits
from sidecar.version import __version__

LIBRARIES = ("torch", "transformers", "openvino", "tokenizers", "peft", "accelerate", "pyserini", "opensearch-py")


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a run: queries, hits, passages that the model scored, and the ids of queries without a hit.

    `stage_two` counts the answers of a generator, those that were mended, cut and unreadable; empty if none was asked.
    """

    queries: int
    hits: int
    passages: int
    bare: list[str]
    stage_two: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, lines: Iterable[bytes]) -> Tally:
        """Count candidate lists."""
        queries = hits = passages = 0
        bare: list[str] = []
        answers: Counter[str] = Counter()
        for line in lines:
            qid, found, scored, windows = count_hits(line)
            queries, hits, passages = queries + 1, hits + found, passages + scored
            bare += [] if found else [qid]
            answers.update(count_answers(windows))
        return cls(queries, hits, passages, bare, answers)

    def refuse_nothing(self, output: Path) -> None:
        """Raise `InputError` if no query has a candidate: then there is no run."""
        if not self.hits:
            raise InputError(
                f"none of the {self.queries} queries has a candidate, so {output} is not written.",
                remedy="Do the queries belong to this index or file?",
            )


@dataclass(frozen=True, slots=True)
class RunManifest:
    """The decisions behind a run: `settings` as the journal compares them, the `model` found, the `first_stage`.

    `from_score_file` counts the passages whose scores this process took from the score file. `versions` are those of
    this process unless they are given. `shards` describes the shards that the run was merged from.
    """

    command: str
    settings: Mapping[str, Any]
    model: Mapping[str, Any]
    first_stage: Mapping[str, Any]
    from_score_file: int = 0
    versions: Mapping[str, str] | None = None
    shards: Sequence[Mapping[str, Any]] = ()

    def write(self, output: Path, tally: Tally, *, seconds: float, resumed: int) -> Path:
        """Write `OUTPUT.manifest.json`, completely or not at all; the `tally` is of the whole run.

        `seconds` are those of the last process alone, which found `resumed` queries finished. Raises `InputError`.
        """
        content = {
            "output": output.name,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": self.command,
            "settings": self.settings,
            "model": self.model,
            "first_stage": self.first_stage,
            "versions": self.versions or versions(),
            "queries": tally.queries,
            "hits": tally.hits,
            "passages_scored": tally.passages,
            "passages_from_score_file": self.from_score_file,
            "queries_without_candidates": tally.bare,
            "queries_resumed": resumed,
            **({"stage_two": tally.stage_two} if tally.stage_two else {}),
            "seconds": round(seconds, 3),
            **({"shards": self.shards} if self.shards else {}),
        }
        path = manifest_of(output)
        with atomic_write(path) as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n")
        return path


def manifest_of(output: Path) -> Path:
    """Return the path of the manifest of an output."""
    return output.with_name(f"{output.name}.manifest.json")


def versions() -> dict[str, str]:
    """Return our version, Python's and those of the libraries that decide scores, if they are installed."""
    found = {"rerank-sidecar": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
