"""Prepare a training from files: read groups, check them for contamination, and mix their teachers' scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.core.documents import PassageFields
from sidecar.core.errors import InputError
from sidecar.experiments.qrels import read_qrels
from sidecar.settings.training import TrainingSettings
from sidecar.training.contamination import find_contamination, read_evaluation
from sidecar.training.development import Development, read_development
from sidecar.training.groups import Group, statistics
from sidecar.training.held_out import hold_out
from sidecar.training.reading import LEAST, Refusals, read_training
from sidecar.training.teachers import Weighted, mixed, read_scores, without_false_negatives

Tell = Callable[[str], None]

SHOWN = 3


@dataclass(frozen=True, slots=True)
class TrainingSources:
    """The files of a training; `teachers` are files of scores with their weights."""

    data: Sequence[Path]
    teachers: Sequence[tuple[Path, float]]
    qrels: Path | None
    development: Path | None
    development_qrels: Path | None
    development_depth: int
    evaluation: Sequence[Path]
    drop_leaks: bool
    drop_unusable: bool
    drop_contradictions: bool = False

    def files(self) -> dict[str, Path]:
        """Return every file by its role."""
        one = {"qrels": self.qrels, "development": self.development, "development qrels": self.development_qrels}
        many = {"data": self.data, "teacher": [path for path, _ in self.teachers], "evaluation": self.evaluation}
        numbered = {f"{role} {at}": path for role, paths in many.items() for at, path in enumerate(paths, start=1)}
        return numbered | {role: path for role, path in one.items() if path is not None}

    def choices(self) -> dict[str, Any]:
        """Return everything else that decides a result."""
        return {
            "teacher weights": [weight for _, weight in self.teachers],
            "development depth": self.development_depth,
            "drop leaks": self.drop_leaks,
            "drop unusable": self.drop_unusable,
            "drop contradictions": self.drop_contradictions,
        }


@dataclass(frozen=True, slots=True)
class Prepared:
    """Groups, the teachers' mixed scores of their passages, and lists to measure on.

    `development` are lists to choose a checkpoint by; without them `held_out` are queries to measure at the end.
    """

    groups: Sequence[Group]
    teacher: Sequence[Sequence[float]] | None
    development: Development | None
    held_out: Development | None = None


def prepare(sources: TrainingSources, settings: TrainingSettings, fields: PassageFields, tell: Tell) -> Prepared:
    """Read and check everything; `tell` is called with statistics and with what was left out. Raises InputError."""
    judged = settings.train_target == "labels"
    groups = read_groups(
        sources.data,
        fields,
        tell,
        qrels=sources.qrels,
        drop=sources.drop_unusable,
        labelled=judged,
        drop_contradictions=sources.drop_contradictions,
    )
    groups = _without_contaminated(groups, sources, fields, tell)
    development, held_out = None, None
    if sources.development is not None:
        development = read_development(
            sources.development, fields, qrels=sources.development_qrels, depth=sources.development_depth
        )
    else:
        groups, held_out = hold_out(groups, settings.train_held_out, tell)
    groups, teacher = _taught(groups, sources, settings, tell)
    return Prepared(groups, teacher, development, held_out)


def read_groups(  # noqa: PLR0913  independent options, by keyword
    data: Sequence[Path],
    fields: PassageFields,
    tell: Tell,
    *,
    qrels: Path | None,
    drop: bool,
    labelled: bool,
    drop_contradictions: bool = False,
) -> list[Group]:
    """Return all usable groups, in the files' order. Raises InputError if there is none, or a file is malformed."""
    judged = read_qrels(qrels) if qrels is not None else None
    groups: list[Group] = []
    for path in data:
        refused = Refusals(drop=drop, counts={}, drop_contradictions=drop_contradictions)
        found = list(read_training(path, fields, refused, qrels=judged, labelled=labelled))
        dropped = "".join(f"; {count} {what}" for what, count in refused.counts.items())
        unused = f"; not used: {', '.join(sorted(refused.unused))}" if refused.unused else ""
        tell(f"{path}: {statistics(found) if found else 'no query that can be trained on'}{dropped}{unused}")
        groups += found
    if not groups:
        raise InputError("there is nothing to train on.", remedy="Give files with labels, or --qrels.")
    return groups


def _without_contaminated(
    groups: list[Group], sources: TrainingSources, fields: PassageFields, tell: Tell
) -> list[Group]:
    if not sources.evaluation:
        return groups
    contamination = find_contamination(groups, read_evaluation(sources.evaluation, fields, tell))
    if not contamination.all:
        tell(f"none of {len(groups)} queries occurs in the evaluation.")
        return groups
    what = (
        f"of {len(groups)} training queries {len(contamination.queries)} are evaluated on, and "
        f"{len(contamination.positives)} have a positive that is judged relevant there"
    )
    if not sources.drop_leaks:
        first = [f"{groups[at].source}: {groups[at].query!r}" for at in sorted(contamination.all)[:SHOWN]]
        raise InputError(
            f"{what}: {'; '.join(first)}{' …' if len(contamination.all) > SHOWN else ''}.",
            remedy="Take them out of the training data, or leave them out by --leaks drop.",
        )
    kept = [group for at, group in enumerate(groups) if at not in contamination.all]
    tell(f"{what}; {len(contamination.all)} were left out.")
    if not kept:
        raise InputError("no query is left to train on.")
    return kept


def _taught(
    groups: list[Group], sources: TrainingSources, settings: TrainingSettings, tell: Tell
) -> tuple[list[Group], list[list[float]] | None]:
    if not sources.teachers:
        return groups, None
    teachers = [Weighted(read_scores(path), weight, str(path)) for path, weight in sources.teachers]
    scores = mixed(groups, teachers, standardize=settings.train_standardize_teacher)
    margin = settings.train_false_negative_margin
    if margin is None:
        return groups, scores
    filtered = [without_false_negatives(group, row, margin) for group, row in zip(groups, scores, strict=True)]
    kept = [(group, row) for group, row, _ in filtered if len(group.passages) >= LEAST and group.has_contrast]
    tell(
        f"{sum(count for _, _, count in filtered)} passages were left out as relevant by the teachers' scores, and "
        f"{len(filtered) - len(kept)} queries that had no other."
    )
    if not kept:
        raise InputError("no query is left to train on.", remedy="Lower --false-negative-margin.")
    return [group for group, _ in kept], [row for _, row in kept]
