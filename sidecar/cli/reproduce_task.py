"""The task of `sidecar reproduce`: where queries, judgements and first stage come from, and what must be fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.cli.effects import SearchEngine, in_effect
from sidecar.cli.factories import identity
from sidecar.cli.first_stages import SEARCHED, open_stage
from sidecar.cli.long_run import RunInputs
from sidecar.cli.options import BM25
from sidecar.cli.progress import Pace, progress, working
from sidecar.core.errors import ConfigurationError, ModelError, ModelNotFound
from sidecar.core.model_spec import ModelSpec
from sidecar.experiments.candidate_files import read_candidates
from sidecar.experiments.candidate_lists import CandidateList
from sidecar.experiments.published import K1, B, Experiment, find_experiment
from sidecar.experiments.run_files import RunFormat
from sidecar.settings import Settings


@dataclass(frozen=True, slots=True)
class Task:
    """An experiment with its inputs: either `candidates`, or `topics` with an `index`.

    `experiment` is None for a collection of the user's own. `corpus` is indexed into `index` first, if that does not
    exist.
    """

    name: str
    experiment: Experiment | None
    qrels: Path
    candidates: Path | None = None
    topics: Path | None = None
    index: str | None = None
    corpus: Path | None = None
    remove_query: bool = False


def find_task(name: str, output: Path, *, data: Path | None, candidates: Path | None, qrels: Path | None) -> Task:
    """Return the task of a known experiment's name or of a folder with corpus, queries and judgements.

    Raises `InputError` for an unknown name, `ConfigurationError` for options that contradict each other.
    """
    folder = Path(name) if Path(name).is_dir() else None
    if folder is not None and data is not None:
        raise ConfigurationError(f"{folder} is a folder, and --data names another.", remedy="Leave out --data.")
    if data is not None and candidates is not None:
        raise ConfigurationError(
            "--data is a folder to search in, and --candidates is a finished first stage.",
            remedy="Give one of them; judgements beside candidates are named by --qrels.",
        )
    experiment = None if folder is not None else find_experiment(name)
    collection = folder or data
    remove_query = experiment is not None and experiment.remove_query
    known = Path(experiment.topics) if experiment is not None else None
    judged = qrels or collection or known
    assert judged is not None  # noqa: S101  a name without a folder is an experiment
    title = folder.resolve().name if folder is not None else name
    if candidates is not None:
        return Task(title, experiment, judged, candidates=candidates, remove_query=remove_query)
    if collection is not None:
        index = str(output / "index")
        return Task(title, experiment, judged, None, collection, index, collection, remove_query)
    assert experiment is not None  # noqa: S101
    return Task(title, experiment, judged, None, known, experiment.index, None, remove_query)


def fixed(task: Task, settings: Settings) -> Settings:
    """Return the settings with the BM25 parameters of a known experiment, whatever variables and files say."""
    return settings if task.experiment is None else settings.model_copy(update={"k1": K1, "b": B})


def to_fetch(task: Task, spec: ModelSpec) -> list[str]:
    """Say what has to be downloaded, and how large it is. Raises what tells an unknown index or model."""
    found = []
    if task.index is not None and task.corpus is None:
        from connectors.pyserini.prebuilt import download_size

        with working(f"looking for the index {task.index}"):
            size = download_size(task.index)
        found += [f"the index {task.index}, {_size(size)} compressed"] if size else []
    return [*found, *_model_to_fetch(spec)]


def _model_to_fetch(spec: ModelSpec) -> list[str]:
    if spec.is_remote:
        return []
    with working(f"looking for the model {spec.model}"):
        from sidecar.scoring.checkpoints.hub_access import ask_hub
        from sidecar.scoring.checkpoints.lora_adapter import is_adapter
        from sidecar.scoring.checkpoints.presets import PRESETS
        from sidecar.scoring.loading import locate, locate_base

        try:
            located = locate(spec.model, revision=spec.revision, offline=True)
        except ModelNotFound:
            preset = PRESETS.get(spec.model)
            name = preset.model if preset else spec.model
            size = ask_hub(name, revision=spec.revision or (preset.revision if preset else None)).size
            return [f"the model {name}, {_size(size)}, and the base model if it is an adapter"]
        if is_adapter(located.directory):
            try:
                locate_base(located, spec.base_model, revision=spec.base_revision, offline=True)
            except ModelError:
                return [f"the base model of {spec.model}"]
    return []


def build_missing_index(task: Task) -> None:
    """Index the corpus of a task, unless its index exists."""
    if task.corpus is None or task.index is None:
        return
    from connectors.pyserini.build import build_index
    from connectors.pyserini.index import is_index
    from sidecar.core.corpus import read_corpus

    if not is_index(Path(task.index)):
        with progress("indexing", Pace("documents")) as meter:
            build_index(read_corpus(task.corpus), Path(task.index), progress=meter.reach)


@dataclass(frozen=True, slots=True)
class OpenTask:
    """The first stage of a task, open: `identity` decides its result, `about` describes it in a manifest.

    `lists` gives the candidates, told which queries are finished already.
    """

    queries: int
    lists: Callable[[set[str]], Iterator[CandidateList]]
    identity: Callable[[Settings], dict[str, Any]]
    about: dict[str, Any]

    def inputs(self, hits: int | None) -> RunInputs:
        """Return the inputs of a long run; `hits` are kept of each query."""
        return RunInputs(self.queries, self.lists, hits=hits)


@contextmanager
def opened(task: Task, settings: Settings, threads: int) -> Iterator[OpenTask]:
    """Open the first stage: read the candidates, or open the index. Raises what reading and searching raise."""
    if task.candidates is not None:
        yield _given(task, task.candidates, settings)
        return
    from sidecar.experiments.topics import read_topics

    topics, index = task.topics, task.index
    assert topics is not None  # noqa: S101  without candidates there are both
    assert index is not None  # noqa: S101
    with working(f"reading {topics}"):
        total = sum(1 for _ in read_topics(topics))
    hits = settings.window
    with open_stage(SearchEngine.LUCENE, index, settings, hits=hits + task.remove_query, threads=threads) as stage:
        names = in_effect(BM25, settings, SEARCHED, engine=SearchEngine.LUCENE)
        switches = {"hits": hits, "remove_query": task.remove_query}
        yield OpenTask(
            total,
            lambda done: stage.lists(topic for topic in read_topics(topics) if topic[0] not in done),
            lambda chosen: identity(chosen, {"input": topics}, RunFormat.JSONL, names, **switches, **stage.identity),
            {**stage.about, **switches},
        )


def _given(task: Task, candidates: Path, settings: Settings) -> OpenTask:
    fields = settings.as_fields()
    with working(f"checking {candidates}"):
        total = sum(1 for _ in read_candidates(candidates, fields))
    switches = {"remove_query": task.remove_query}
    return OpenTask(
        total,
        lambda done: (found for found in read_candidates(candidates, fields) if found.qid not in done),
        lambda chosen: identity(chosen, {"input": candidates}, RunFormat.JSONL, (), **switches),
        {"input": str(candidates)},
    )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
