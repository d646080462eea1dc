"""`sidecar fit-calibration`: fit a mapping from scores to probabilities of relevance on judged candidates."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from sidecar.cli.app import command
from sidecar.cli.factories import build_reranker
from sidecar.cli.options import FIELDS, MODEL, takes
from sidecar.cli.progress import Pace, progress, working
from sidecar.cli.terminal import message_console, plain_table, print_results, say
from sidecar.core.atomic_write import check_replaceable
from sidecar.core.candidates import Candidate
from sidecar.core.errors import InputError
from sidecar.settings import Settings

if TYPE_CHECKING:
    from sidecar.experiments.qrels import Qrels
    from sidecar.scoring import Scorer
    from sidecar.scoring.calibration import Calibration, Judged


class Unjudged(StrEnum):
    """How to treat candidates without a judgement."""

    SKIP = "skip"
    IRRELEVANT = "irrelevant"


@command("fit-calibration", example="sidecar fit-calibration train.jsonl --output sidecar.json")
@takes(*MODEL, *FIELDS)
def calibration_command(
    candidates: Annotated[Path, typer.Argument(help="Judged candidate lists with text, or files of one pair a line.")],
    qrels: Annotated[
        Path | None, typer.Option(help="Relevance judgements. Unset: the `label` of each candidate.")
    ] = None,
    relevant_from: Annotated[int, typer.Option(help="Lowest grade that counts as relevant.")] = 1,
    unjudged: Annotated[Unjudged, typer.Option(help="How to treat candidates without a judgement.")] = Unjudged.SKIP,
    output: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File to write. Unset: the sidecar.json of the checkpoint.")
    ] = None,
    *,
    settings: Settings,
) -> None:
    """Fit a calibration, sigmoid(a·score + b), on judged pairs, and store it with the checkpoint."""
    from sidecar.experiments.qrels import read_qrels
    from sidecar.scoring.calibration import calibrate

    if output is not None:
        check_replaceable(output)
    with working(f"reading {candidates}"):
        judgements = read_qrels(qrels) if qrels else None
        judged = _judged(candidates, judgements, relevant_from, unjudged, settings)
        work = [(query, qid, pairs) for query, qid, pairs in judged if pairs]
    if not work:
        raise InputError(
            f"{candidates} has no judged candidate with text.",
            remedy="Give --qrels of the same queries and documents, or candidates with a `label`.",
        )
    scorer = build_reranker(settings).scorer
    calibration = calibrate(list(_scored(scorer, work)), scorer.mapping)
    _print(calibration)
    _keep(scorer, calibration, settings.model, output)


def _judged(
    path: Path, qrels: Qrels | None, relevant_from: int, unjudged: Unjudged, settings: Settings
) -> Iterator[tuple[str, str, list[tuple[Candidate, bool]]]]:
    """Yield each query with its candidates that have text, and whether they are relevant."""
    from sidecar.experiments.candidate_files import read_candidates

    for found in read_candidates(path, settings.as_fields()):
        grades = found.labels if qrels is None else [qrels.get(found.qid, {}).get(c.docid) for c in found.candidates]
        if unjudged is Unjudged.IRRELEVANT:
            # A grade below every threshold; a query without any judgement is left out.
            known = any(grade is not None for grade in grades) or (qrels is not None and found.qid in qrels)
            grades = [relevant_from - 1 if grade is None else grade for grade in grades] if known else []
        yield (
            found.query,
            found.qid,
            [
                (candidate, grade >= relevant_from)
                for candidate, grade in zip(found.candidates, grades, strict=False)
                if grade is not None and not candidate.passage.is_empty
            ],
        )


def _scored(scorer: Scorer, work: list[tuple[str, str, list[tuple[Candidate, bool]]]]) -> Iterator[Judged]:
    from sidecar.scoring.calibration import Judged

    with progress("scoring", Pace("queries", total=len(work))) as meter:
        for query, qid, pairs in work:
            scores = scorer.score(query, [candidate.passage for candidate, _ in pairs])
            meter.advance(len(pairs))
            for score, (_, relevant) in zip(scores, pairs, strict=True):
                yield Judged(qid, score.value, relevant)


def _keep(scorer: Scorer, calibration: Calibration, model: str, output: Path | None) -> None:
    from sidecar.core.atomic_write import atomic_write
    from sidecar.scoring.checkpoints.manifest import as_json, write_manifest
    from sidecar.scoring.loading import own_directory

    manifest = msgspec.structs.replace(scorer.manifest, score_mapping=calibration.mapping)
    directory = own_directory(model)
    if output is not None:
        with atomic_write(output) as file:
            file.write(as_json(manifest))
    elif directory is not None:
        output = write_manifest(manifest, directory)
    else:
        sys.stdout.write(as_json(manifest))
    if output is not None:
        say(f"written: {output}")


def _print(calibration: Calibration) -> None:
    mapping = calibration.mapping
    say(
        f"sigmoid({mapping.a:.6g} · score {mapping.b:+.6g}), fitted on {calibration.fitted_pairs} pairs; on "
        f"{calibration.held_out_pairs} pairs of {calibration.held_out_queries} queries held out:"
    )
    table = plain_table("", "log loss", "Brier", "ECE")
    for name, found in (("before", calibration.before), ("after", calibration.after)):
        table.add_row(name, f"{found.log_loss:.4f}", f"{found.brier:.4f}", f"{found.ece:.4f}")
    print_results(table, console=message_console())
