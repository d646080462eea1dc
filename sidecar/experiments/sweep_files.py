"""Write what a sweep found: every point as CSV and JSON, and the chosen settings as TOML. Files appear whole."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from sidecar.core.atomic_write import atomic_write
from sidecar.core.fusion import Fusion
from sidecar.experiments.sweep_points import Choice, Measured, Point, SweepResult

_COLUMNS = ("first_stage", "model", "window", "fusion", "normalization", "weight", "rank_constant", "arithmetic")


def write_csv(path: Path, result: SweepResult) -> None:
    """Write a row for each point, with its means over the choosing and the reported queries."""
    with atomic_write(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        columns = (*_COLUMNS, "listwise") if any(one.point.listwise for one in result.points) else _COLUMNS
        writer.writerow([*columns, "choose", "report"])
        for one in [*result.first_stages, *result.points]:
            row = _row(one.point)
            writer.writerow([*(row.get(name, "") for name in columns), repr(one.choose), repr(one.report)])


def write_json(path: Path, result: SweepResult, more: Mapping[str, Any]) -> None:
    """Write all points, the chosen one with its values by query, its comparisons, and the two sets of queries."""
    choice, split = result.choice, result.split
    content = {
        "measure": result.measure,
        "chosen_on": split.about,
        "choose": split.choose,
        "report": split.report,
        "best": {**_figures(choice.best), "by_query": choice.best.by_query},
        "first_stage": {**_figures(choice.first_stage), "by_query": choice.first_stage.by_query},
        "model_alone": {**_figures(choice.model_alone), "by_query": choice.model_alone.by_query},
        "against_first_stage": asdict(choice.against_first_stage),
        "against_model_alone": asdict(choice.against_model_alone),
        **_without_stage_two(choice),
        **more,
        "points": [_figures(one) for one in [*result.first_stages, *result.points]],
    }
    with atomic_write(path) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n")


def write_settings(path: Path, settings: Mapping[str, Any], comments: Sequence[str]) -> None:
    """Write settings as a TOML file that `SIDECAR_CONFIG` can name, with comments above them."""
    with atomic_write(path) as stream:
        for comment in comments:
            stream.writelines(f"# {line}\n" for line in comment.splitlines())
        for name, value in settings.items():
            # JSON's strings, numbers, booleans and lists of them are TOML's.
            stream.write(f"{name} = {json.dumps(value, ensure_ascii=False)}\n")


def fusion_settings(fusion: Fusion) -> dict[str, Any]:
    """Return a fusion as the settings of the commands."""
    names = {"method": "fusion", "weight": "fusion_weight", "arithmetic": "fusion_arithmetic"}
    return {names.get(name, name): value for name, value in fusion.as_dict().items()}


def _without_stage_two(choice: Choice) -> dict[str, Any]:
    if choice.stage_one is None or choice.against_stage_one is None:
        return {}
    figures = {**_figures(choice.stage_one), "by_query": choice.stage_one.by_query}
    return {"stage_one": figures, "against_stage_one": asdict(choice.against_stage_one)}


def _figures(one: Measured) -> dict[str, Any]:
    return {**_row(one.point), "choose_mean": one.choose, "report_mean": one.report}


def _row(point: Point) -> dict[str, Any]:
    row: dict[str, Any] = {"first_stage": point.stage}
    if point.fusion is not None:
        told = point.fusion.as_dict()
        row |= {"model": point.model, "window": point.window, "fusion": told.pop("method"), **told}
    if point.listwise is not None:
        row["listwise"] = point.listwise
    return row
