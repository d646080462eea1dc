"""The first stages of a sweep: each is run once, and its candidates are kept in a file of the sweep's folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sidecar.cli.effects import SearchEngine, chosen_engine, in_effect, refuse_idle
from sidecar.cli.factories import build_opensearch_client, chosen, digest
from sidecar.cli.first_stages import BODY, SEARCHED, open_stage
from sidecar.cli.long_run import kept
from sidecar.cli.options import BM25, FIELDS, RM3
from sidecar.cli.progress import Pace, progress, working
from sidecar.cli.terminal import say
from sidecar.core.atomic_write import atomic_write
from sidecar.core.errors import ConfigurationError, InputError
from sidecar.core.listing import some_of
from sidecar.experiments.candidate_files import read_candidates
from sidecar.experiments.candidate_lists import CandidateList
from sidecar.experiments.journal import Journal, journal_of
from sidecar.experiments.list_checks import Demands
from sidecar.experiments.rerank_lists import TextWatch
from sidecar.experiments.run_files import RunFormat
from sidecar.experiments.stage_files import StageFile, list_line, publish_lists
from sidecar.experiments.sweep_plan import StagePoint, SweepPlan
from sidecar.experiments.topics import read_topics
from sidecar.settings import Settings, load_settings

FOLDER = "first-stages"
INPUTS = "inputs.json"


@dataclass(frozen=True, slots=True)
class SweepFolder:
    """The folder of a sweep, and what may happen to what it holds already.

    With `resume` its first stages and scores are used if their inputs are the same, and with `force` as well they are
    made again if not; with `force` alone all of it is removed first.
    """

    path: Path
    resume: bool
    force: bool

    def open(self) -> None:
        """Make the folder. Raises `ConfigurationError` for a sweep without a flag, and for what is not a sweep's."""
        stages = self.path / FOLDER
        if self.path.exists() and not self.path.is_dir():
            raise ConfigurationError(f"{self.path} is no folder.", remedy="Name a folder with --output.")
        if stages.exists() and not (self.path / INPUTS).exists() and any(stages.iterdir()):
            raise ConfigurationError(f"{stages} is of no sweep.", remedy="Name another folder with --output.")
        if stages.exists() and not (self.resume or self.force):
            raise ConfigurationError(
                f"{self.path} holds a sweep already.",
                remedy="Go on with it by --resume, replace it by --force, or name another folder.",
            )
        if self.force and not self.resume:
            for own in (stages, self.path / INPUTS, self.scores, journal_of(self.answers)):
                shutil.rmtree(own) if own.is_dir() else own.unlink(missing_ok=True)
        try:
            stages.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"can't write {stages}: {error.strerror}.") from None

    @property
    def scores(self) -> Path:
        """Return the path of its own score file."""
        return self.path / "scores.db"

    @property
    def answers(self) -> Path:
        """Return the path of the answers of generators, whose journal is never finished."""
        return self.path / "answers"

    def accept(self, name: str, inputs: Mapping[str, Any]) -> bool:
        """Return whether a part was made from these inputs; False if there is none yet, or it has to be made again.

        Raises `ConfigurationError` if it was made from others and may not be replaced.
        """
        path = self.path / name
        if not path.exists():
            return False
        before = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        now = msgspec.to_builtins(dict(inputs))
        changed = sorted(key for key in before.keys() & now.keys() if before[key] != now[key])
        changed += sorted((before.keys() - now.keys()) | (now.keys() - before.keys())) if name != INPUTS else []
        if not changed:
            return True
        if not self.force:
            raise ConfigurationError(
                f"{path.with_suffix('')} was made from other inputs: {', '.join(changed)} changed.",
                remedy="Restore them, make again what depends on them by --resume --force, or name another folder.",
            )
        say(f"{path.with_suffix('')} is made again: {', '.join(changed)} changed.")
        return False


def record(path: Path, inputs: Mapping[str, Any]) -> None:
    """Write what a part was made from. Raises `InputError`."""
    with atomic_write(path) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(inputs), indent=2).decode() + "\n")


def with_values(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Return the settings with some of them replaced. Raises `ConfigurationError` for a wrong one."""
    return load_settings({**{name: getattr(settings, name) for name in settings.model_fields_set}, **values})


@dataclass(frozen=True, slots=True)
class Stages:
    """Runs the first stages of a plan into a folder, to the depth of `hits`, on `threads` threads."""

    plan: SweepPlan
    settings: Settings
    folder: SweepFolder
    hits: int
    threads: int

    def file(self, point: StagePoint) -> StageFile:
        """Return the candidates of a first stage; it is run unless its file was made from the same inputs."""
        settings = with_values(self.settings, point.settings)
        path = self.folder.path / FOLDER / f"{point.name}.jsonl"
        about = path.with_suffix(".json")
        identity = {"hits": self.hits, **chosen(settings, FIELDS), **_identity(point, self.plan, settings)}
        whole = self.folder.accept(f"{FOLDER}/{about.name}", identity) and path.exists()
        if not whole:
            record(about, identity)
            path.unlink(missing_ok=True)
            with kept(Journal(path, identity, resume=True, replace=True)) as journal:
                self._fetch(point, settings, journal)
                publish_lists(journal, path)
        else:
            journal_of(path).unlink(missing_ok=True)  # of a process that ended before it could remove it
        with working(f"reading {path}"):
            return StageFile(path, settings.as_fields())

    def _fetch(self, point: StagePoint, settings: Settings, journal: Journal) -> None:
        watch = TextWatch(settings.as_fields(), self.hits, say)
        demands = Demands(RunFormat.JSONL, self.hits, fused=True)
        with self._lists(point, settings, journal.done) as (lists, total):
            pace = Pace("queries", total=total, already=len(journal.done))
            with progress(f"first stage {point.name}", pace) as meter:
                for found in watch(demands.check(lists)):
                    if found.qid not in journal.done:
                        journal.add(found.qid, list_line(found, self.hits))
                        meter.advance()
        if watch.bare:
            say(f"{point.name}: {len(watch.bare)} queries have no candidate: {some_of(watch.bare)}")
        if len(watch.bare) == pace.done:
            raise InputError(f"{point.name}: no query has a candidate.", remedy="Do the queries belong to this index?")

    @contextmanager
    def _lists(
        self, point: StagePoint, settings: Settings, done: set[str]
    ) -> Iterator[tuple[Iterable[CandidateList], int | None]]:
        table = point.table
        if table.candidates is not None:
            yield read_candidates(table.candidates, settings.as_fields()), None
        elif table.run is not None and table.queries is not None and table.corpus is not None:
            from sidecar.experiments.run_candidates import RunCandidates, Sources

            with working(f"looking up the texts of {table.run}"):
                sources = Sources(table.run, table.queries, table.corpus)
                found = RunCandidates(sources, depth=self.hits, allow_missing=table.allow_missing)
            yield found.lists(settings.as_fields(), leave_out=done), len(found)
        else:
            topics = dict(read_topics(self.plan.topics)) if self.plan.topics is not None else {}
            engine = engine_of(point, settings)
            with open_stage(
                engine, table.index or "", settings, hits=self.hits, threads=self.threads, body=table.body
            ) as stage:
                yield stage.lists(one for one in topics.items() if one[0] not in done), len(topics)


def engine_of(point: StagePoint, settings: Settings) -> SearchEngine:
    """Return the engine of an index. Raises `ConfigurationError` for a value of the plan that the engine ignores."""
    asked = point.table.engine or ("opensearch" if point.table.url else None)
    engine = chosen_engine(SearchEngine(asked) if asked else None, settings)
    given = [*point.settings, *(["body"] if point.table.body is not None else [])]
    refuse_idle({name: f"{point.name}: {name}" for name in given}, settings, (*SEARCHED, BODY), {"engine": engine})
    return engine


def _identity(point: StagePoint, plan: SweepPlan, settings: Settings) -> dict[str, Any]:
    """Return what decides the candidates of a first stage: the content of its files, or the state of its index."""
    table = point.table
    files = {
        "body": table.body,
        "candidates": table.candidates,
        "run": table.run,
        "queries": table.queries,
        "corpus": table.corpus,
    }
    with working(f"computing checksums for {point.name}"):
        digests = {name: digest(path) for name, path in files.items() if path is not None}
        if table.index is None:
            return {**digests, "allow_missing": table.allow_missing}
        engine = engine_of(point, settings)
        used = chosen(settings, in_effect(BM25 + RM3, settings, SEARCHED, engine=engine))
        topics = {} if plan.topics is None else {"topics": digest(plan.topics)}
        return {"engine": engine.value, **digests, **topics, **used, **_state(table.index, engine, settings)}


def _state(index: str, engine: SearchEngine, settings: Settings) -> dict[str, Any]:
    if engine is SearchEngine.OPENSEARCH:
        from connectors.opensearch.admin.cluster_info import index_state, size

        with build_opensearch_client(settings) as client:
            return {"index": index, "documents": size(client, index), "index_state": index_state(client, index)}
    if settings.pyserini_url is not None:
        return {"index": index, "url": chosen(settings, ["pyserini_url"])["pyserini_url"]}
    from connectors.pyserini.commits import index_commit
    from connectors.pyserini.prebuilt import find_index

    return {"index_state": index_commit(find_index(index))}
