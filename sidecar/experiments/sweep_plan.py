"""The plan of a sweep, from a TOML file or flags: first stages, models, windows, fusions, generators, and their points.

No I/O beside reading the file. A value that may vary is one value or a list.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from sidecar.core.errors import ConfigurationError, InputError
from sidecar.core.fusion import Arithmetic, Fusion, Method, Normalization

_SEVERAL = BeforeValidator(lambda value: value if isinstance(value, list) else [value])
Numbers = Annotated[list[float], _SEVERAL, Field(min_length=1)]
Whole = Annotated[list[Annotated[int, Field(ge=1, le=10_000)]], _SEVERAL, Field(min_length=1)]
Shares = Annotated[list[Annotated[float, Field(ge=0, le=1)]], _SEVERAL, Field(min_length=1)]
Switches = Annotated[list[bool], _SEVERAL, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$", max_length=60)]

SOURCES = ("index", "candidates", "run")
_OF_SOURCE = {
    "index": {"engine", "k1", "b", "rm3", "url", "body"},
    "candidates": set(),
    "run": {"queries", "corpus", "allow_missing"},
}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FirstStageTable(_Table):
    """A first stage: an `index`, a file of `candidates`, or a `run` with its `queries` and `corpus`."""

    name: Name | None = None
    index: str | None = None
    engine: Literal["lucene", "opensearch"] | None = None
    url: str | None = None
    body: Path | None = None
    k1: Annotated[list[Annotated[float, Field(ge=0, le=100)]], _SEVERAL] = []
    b: Shares | None = None
    rm3: Switches | None = None
    candidates: Path | None = None
    run: Path | None = None
    queries: Path | None = None
    corpus: Path | None = None
    allow_missing: bool = False

    @model_validator(mode="after")
    def _has_one_source(self) -> FirstStageTable:
        given = [name for name in SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a first stage has one of {', '.join(SOURCES)}, not {' and '.join(given) or 'none'}")
        stray = self.model_fields_set - {"name", given[0]} - _OF_SOURCE[given[0]]
        if stray:
            raise ValueError(f"{', '.join(sorted(stray))} has no effect with {given[0]}")
        if self.run is not None and (self.queries is None or self.corpus is None):
            raise ValueError("a run takes its queries and its corpus")
        return self


class FusionTable(_Table):
    """Fusions: every combination of the values of its keys."""

    method: Annotated[list[Method], _SEVERAL, Field(min_length=1)]
    normalization: Annotated[list[Normalization], _SEVERAL, Field(min_length=1)] | None = None
    weight: Shares | None = None
    rank_constant: Whole | None = None
    arithmetic: Annotated[list[Arithmetic], _SEVERAL, Field(min_length=1)] | None = None


class ChooseTable(_Table):
    """The queries to choose by: those of a file (`on`), or a `fraction` drawn by a `seed`."""

    on: Path | None = None
    fraction: float = Field(0.5, gt=0, lt=1)
    seed: int = 0

    @model_validator(mode="after")
    def _one_way(self) -> ChooseTable:
        if self.on is not None and self.model_fields_set & {"fraction", "seed"}:
            raise ValueError("`on` names the queries; it takes neither fraction nor seed")
        return self


class SweepPlan(_Table):
    """Everything that decides what a sweep finds: `hits` is a first stage's depth, `measure` a name of ir-measures."""

    qrels: Path
    topics: Path | None = None
    measure: str = "nDCG@10"
    hits: int = Field(100, ge=1, le=10_000)
    windows: Whole | None = None
    models: list[str | dict[str, Any]] = []
    first_stage: Annotated[list[FirstStageTable], Field(min_length=1)]
    fusion: list[FusionTable] = []
    listwise: list[dict[str, Any]] = []
    choose: ChooseTable = Field(default_factory=lambda: ChooseTable.model_validate({}))

    @model_validator(mode="after")
    def _topics_where_needed(self) -> SweepPlan:
        if self.topics is None and any(one.index is not None for one in self.first_stage):
            raise ValueError("an index is searched for topics: name their file")
        return self

    def fusions(self) -> list[Fusion]:
        """Return every fusion once, in the order of the plan. Raises `FusionError` for one that is not sound."""
        tables = self.fusion or [FusionTable.model_validate(table) for table in DEFAULT_FUSIONS]
        return list(dict.fromkeys(fusion for table in tables for fusion in _fusions(table)))

    def stages(self) -> list[StagePoint]:
        """Return every first stage with a name of its own. Raises `ConfigurationError` if two have the same name."""
        found = [one for number, table in enumerate(self.first_stage, 1) for one in _stages(table, number)]
        _check_names("first stages", "first_stage", [one.name for one in found])
        return found

    def stages_two(self) -> list[StageTwoPoint]:
        """Return every stage two with a name of its own. Raises `ConfigurationError` if two have the same name."""
        found = [one for number, table in enumerate(self.listwise, 1) for one in _stages_two(table, number)]
        _check_names("generators", "listwise", [one.name for one in found])
        return found


# For a plan that names no fusion: the model alone, and what is known to help.
DEFAULT_FUSIONS: Sequence[Mapping[str, Any]] = (
    {"method": "rerank"},
    {"method": "adaptive"},
    {"method": "linear", "normalization": ["min_max", "z_score"], "weight": [n / 20 for n in range(8, 20)]},
    {"method": "rrf", "weight": [0.5, 0.6, 0.7, 0.8, 0.9]},
)


@dataclass(frozen=True, slots=True)
class StagePoint:
    """One first stage: its table, and the `settings` (k1, b, rm3, opensearch_url) that it replaces."""

    name: str
    table: FirstStageTable
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StageTwoPoint:
    """One stage two: the `settings` (listwise_model, listwise_depth, …) that it replaces."""

    name: str
    settings: Mapping[str, Any]


def read_plan(path: Path) -> SweepPlan:
    """Read a plan from a TOML file. Raises `InputError` if it can't be read, `ConfigurationError` for what is wrong."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no valid TOML: {error}.") from None
    return parse_plan(found, str(path))


def parse_plan(values: Mapping[str, Any], source: str) -> SweepPlan:
    """Check a plan; `source` names it in messages. Raises `ConfigurationError` with each key that is wrong."""
    try:
        plan = SweepPlan.model_validate(values)
    except ValidationError as error:
        lines = [f"{source}: {_words(one)}" for one in error.errors()]
        raise ConfigurationError("\n".join(lines), remedy="docs/SWEEP.md has an example with every key.") from None
    plan.stages()
    plan.fusions()
    plan.stages_two()
    return plan


def _check_names(kind: str, table: str, names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(
            f"two {kind} have the name {', '.join(twice)}.", remedy=f"Give each {table} a name of its own."
        )


def _words(error: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{place} is no key of a sweep."
    reason = re.sub(r"^Value error, ", "", error["msg"])
    return f"{place}: {reason}." if place else f"{reason}."


def _stages(table: FirstStageTable, number: int) -> Iterator[StagePoint]:
    base = table.name or f"stage{number}"
    url = {} if table.url is None else {"opensearch_url": table.url}
    varied = {name: values for name in ("k1", "b", "rm3") if (values := getattr(table, name))}
    for name, chosen in _combined(base, varied):
        yield StagePoint(name, table, {**url, **chosen})


def _stages_two(table: Mapping[str, Any], number: int) -> Iterator[StageTwoPoint]:
    base = str(table.get("name", f"listwise{number}"))
    varied = {key: value if isinstance(value, list) else [value] for key, value in table.items() if key != "name"}
    for name, chosen in _combined(base, varied):
        yield StageTwoPoint(name, chosen)


def _combined(base: str, varied: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every combination of values, with a name that tells those of which there are several."""
    for values in product(*varied.values()):
        chosen = dict(zip(varied, values, strict=True))
        several = [key for key, given in varied.items() if len(given) > 1]
        several = [f"{key.removeprefix('listwise_')}={_plain(chosen[key])}" for key in several]
        yield "_".join([base, *several]), chosen


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else str(value)


_TAKES = {
    Method.RERANK: set(),
    Method.ADAPTIVE: {"normalization"},
    Method.LINEAR: {"normalization", "weight", "arithmetic"},
    Method.GEOMETRIC: {"normalization", "weight", "arithmetic"},
    Method.HARMONIC: {"normalization", "weight", "arithmetic"},
    Method.RRF: {"weight", "rank_constant", "arithmetic"},
}


def fusions_taking(key: str) -> set[str]:
    """Return the names of the fusions that take a key, such as `weight`."""
    return {method.value for method, keys in _TAKES.items() if key in keys}


def _fusions(table: FusionTable) -> Iterator[Fusion]:
    given = {name: values for name in sorted(table.model_fields_set - {"method"}) if (values := getattr(table, name))}
    for method in table.method:
        idle = given.keys() - _TAKES[method]
        if idle:
            raise ConfigurationError(
                f"{', '.join(sorted(idle))} has no effect with the fusion {method.value}.",
                remedy="Give that fusion a table of its own.",
            )
        for values in product(*given.values()):
            yield Fusion(method, **dict(zip(given, values, strict=True)))
