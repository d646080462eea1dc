"""The work of `run` and `rerank`: scores what is not in the journal yet, and writes the output at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import typer

from sidecar.cli.effects import Condition
from sidecar.cli.factories import model_files, open_scores, open_stage_two
from sidecar.cli.progress import Pace, progress, working
from sidecar.cli.rankers import RayCluster, open_ranker
from sidecar.cli.run_summary import stage_two_answers, summary_of, unscored
from sidecar.cli.terminal import say
from sidecar.core.atomic_write import check_replaceable
from sidecar.core.candidates import Ranking
from sidecar.core.errors import ConfigurationError
from sidecar.core.fusion import Method
from sidecar.core.stage_two import count_answers
from sidecar.experiments.candidate_lists import CandidateList
from sidecar.experiments.journal import Journal, journal_of
from sidecar.experiments.list_checks import Demands, check_tag
from sidecar.experiments.manifest import RunManifest, Tally, versions
from sidecar.experiments.publish import publish
from sidecar.experiments.rerank_lists import Depth, TextWatch, rerank_lists
from sidecar.experiments.run_files import RunFormat
from sidecar.experiments.shards import WHOLE, Shard, publish_shard, read_header
from sidecar.listwise.stage import TwoStages
from sidecar.scoring import Scorer
from sidecar.settings import Settings

# For commands that write a run.
TAG = Condition(("tag",), lambda mode: mode.output_format is RunFormat.TREC, "only the TREC format has a column for it")
# For commands whose work can be done in parts.
SHARD = typer.Option(
    "--shard",
    metavar="I/N",
    help="Score every N-th query from the I-th on, and write OUTPUT.shard-I-of-N for `sidecar merge`.",
)


@dataclass(frozen=True, slots=True)
class RunInputs:
    """The queries of a run: how many there are, and a call that gives their candidates, told which are finished.

    `queries` counts those of all shards; `lists` gives those of the run's own shard. `hits` is how many of each are
    kept (None: all).
    """

    queries: int
    lists: Callable[[set[str]], Iterable[CandidateList]]
    hits: int | None = None


@dataclass(frozen=True, slots=True)
class LongRun:
    """One output that is being written.

    A journal is continued only if its `identity` is the same; with `force` another one is discarded. `first_stage`
    describes the candidates in the manifest. With a `shard` only its queries are scored, and its file is written
    instead of the output. With `min_relevance` less relevant hits are left out. With `stage_two` the generator of the
    settings, if there is one, puts the first hits in order; it runs beside this process, whatever the `cluster` is. A
    `scorer` is the model of the settings, loaded here before.
    """

    command: str
    output: Path
    output_format: RunFormat
    tag: str
    settings: Settings
    identity: Mapping[str, Any]
    first_stage: Mapping[str, Any]
    resume: bool
    remove_query: bool = False
    shard: Shard | None = None
    force: bool = False
    cluster: RayCluster | None = None
    min_relevance: float | None = None
    stage_two: bool = False
    scorer: Scorer | None = None

    @property
    def target(self) -> Path:
        """The file that this process writes: the output, or the shard's."""
        return self.shard.file(self.output) if self.shard else self.output

    @property
    def demands(self) -> Demands:
        """The demands on candidate lists, checked before they are scored."""
        fused = self.settings.fusion not in {None, Method.RERANK}
        return Demands(self.output_format, self.settings.window, fused, self.remove_query)

    def finish(self, work: Callable[[], RunInputs], *, first_stage_output: Path | None = None) -> str:
        """Load the model, do the work, publish the result, and return a summary of it.

        `work` is called once it is certain that an unfinished run may be continued. Raises `InputError` for a run that
        could not be read, and for one without a candidate.
        """
        check_tag(self.tag)
        if self._finished_before():
            return f"{self.target} was finished before"
        identity = {**self.identity, **({"shard": str(self.shard)} if self.shard else {})}
        with (
            kept(Journal(self.target, identity, resume=self.resume, replace=self.force)) as journal,
            open_scores(self.settings) if self.cluster is None else nullcontext() as store,
            ExitStack() as places,
        ):
            todo = work()
            ranker = places.enter_context(
                open_ranker(
                    self.settings, store, self.cluster, min_relevance=self.min_relevance or 0.0, scorer=self.scorer
                )
            )
            content = model_files(self.settings)
            journal.confirm("model_files", content)
            stage = places.enter_context(open_stage_two(self.settings)) if self.stage_two else None
            if stage is not None:
                journal.confirm("listwise_model", stage.generator.identity)
            say_discarded(journal)
            resumed = len(journal.done)
            watch = TextWatch(self.settings.as_fields(), self.settings.window, say)
            depth = Depth(
                self.settings.window,
                todo.hits,
                documents=self.output_format is RunFormat.JSONL,
                first_stage=first_stage_output is not None,
            )
            pace = Pace("queries", total=(self.shard or WHOLE).size(todo.queries), already=resumed)
            scored = dropped = 0
            answers: Counter[str] = Counter()
            with progress("reranking", pace) as meter:

                def finished(ranking: Ranking) -> None:
                    nonlocal scored, dropped
                    scored += ranking.scored
                    dropped += 0 if ranking.cut is None else ranking.cut.dropped
                    answers.update(count_answers(ranking.stage_two.windows if ranking.stage_two else ()))
                    # Scores from the score file, which are looked up in advance, don't count for the rate.
                    pace.passages = max(0, scored - (0 if store is None else store.found))
                    meter.advance()

                lists = watch(self.demands.check(todo.lists(journal.done)))
                ranks = ranker if stage is None else TwoStages(ranker, stage)
                rerank_lists(lists, ranks, journal, depth, finished=finished)
            remembered = 0 if store is None else store.found
            seconds = pace.seconds
            with working(f"writing {self.target}"):
                model = {**ranker.describe(), "content": content}
                if stage is not None:
                    model["stage_two"] = stage.generator.identity
                done = Done(journal, model, remembered, seconds, resumed)
                if self.shard:
                    self._publish_shard(done, self.shard, todo.queries, first_stage=first_stage_output is not None)
                else:
                    self._publish(done, first_stage_output)
        left_out = f"; {dropped} hits below {self.min_relevance:g} left out" if self.min_relevance else ""
        return summary_of(pace, resumed, remembered) + left_out + unscored(watch) + stage_two_answers(answers)

    def _publish(self, done: Done, first_stage_output: Path | None) -> None:
        tally = Tally.of(done.journal.lines())
        if not tally.hits:
            done.journal.remove()
        tally.refuse_nothing(self.output)
        manifest = RunManifest(self.command, self.identity, done.model, self.first_stage, done.remembered)
        manifest.write(self.output, tally, seconds=done.seconds, resumed=done.resumed)
        publish(done.journal, self.output, self.output_format, self.tag, first_stage_output=first_stage_output)

    def _publish_shard(self, done: Done, shard: Shard, total: int, *, first_stage: bool) -> None:
        form = {"format": self.output_format, "tag": self.tag, "first_stage_output": first_stage}
        publish_shard(
            done.journal,
            self.target,
            shard,
            total,
            origin={"command": self.command, "settings": self.identity, "first_stage": self.first_stage, **form},
            **described(self.settings, done),
        )

    def _finished_before(self) -> bool:
        """Return whether the shard's file is there, so that a scheduler may repeat the command with --resume."""
        if self.shard is None:
            return False
        return finished_before(self.target, self.identity, force=self.force, resume=self.resume)


@dataclass(frozen=True, slots=True)
class Done:
    """The work of a process, before its output is written.

    `remembered` scores are from the score file; `resumed` queries were finished by an earlier process.
    """

    journal: Journal
    model: Mapping[str, Any]
    remembered: int
    seconds: float
    resumed: int


def described(settings: Settings, done: Done) -> dict[str, Any]:
    """Return what a shard's header says of its model, its libraries and its process."""
    from sidecar.scoring.fingerprint import content_digest

    content = {"content": done.model.get("content") or content_digest(settings.as_model())}
    return {
        "model": {**{name: value for name, value in done.model.items() if name != "directory"}, **content},
        "versions": versions(),
        "local": {
            **({"directory": done.model["directory"]} if "directory" in done.model else {}),  # a remote model has none
            "passages_from_score_file": done.remembered,
            "queries_resumed": done.resumed,
            "seconds": round(done.seconds, 3),
        },
    }


def finished_before(path: Path, identity: Mapping[str, Any], *, force: bool, resume: bool) -> bool:
    """Return whether a shard's file is finished, which `resume` accepts; with `force` it is to be replaced.

    Raises `ConfigurationError` if it belongs to another run.
    """
    if force or not resume or journal_of(path).exists() or not path.is_file():
        return False
    found = read_header(path).origin.get("settings")
    if found != msgspec.to_builtins(dict(identity)):
        raise ConfigurationError(
            f"{path} is finished, and belongs to another run.",
            remedy="Write to another file, or replace it with --force.",
        )
    return True


def chosen_shard(text: str | None) -> Shard | None:
    """Return the shard that an option names. Raises `ConfigurationError` for one that can't be."""
    return None if text is None else Shard.parse(text)


def keep_finished(*outputs: Path, force: bool, resume: bool = False, shard: Shard | None = None) -> None:
    """Raise `ConfigurationError` if an output exists already, unless `force` is set; `InputError` for a device.

    With `resume` a journal beside the first output goes on: the run that it belongs to was allowed to replace it. Of a
    `shard` only its file is written, and `finished_before` accepts it with `resume`.
    """
    if shard:
        outputs, force = (shard.file(outputs[0]),), force or resume
    for output in outputs:
        check_replaceable(output)
    found = [output for output in outputs if output.is_file()]
    if not found or force or (resume and journal_of(outputs[0]).exists()):
        return
    exist = "exists already, and is" if len(found) == 1 else "exist already, and are"
    raise ConfigurationError(
        f"{' and '.join(map(str, found))} {exist} finished.",
        remedy="Write to another file, or replace it with --force.",
    )


def keep_inputs(output: Path, inputs: Iterable[Path]) -> None:
    """Raise `ConfigurationError` if the output is one of the inputs, whatever is forced."""
    for path in inputs:
        if path.exists() and output.exists() and path.samefile(output):
            raise ConfigurationError(
                f"{output} is an input of this command, and would be replaced by its output.",
                remedy="Write to another file.",
            )


def say_discarded(journal: Journal) -> None:
    """Say that the queries of another run were discarded, and why."""
    if journal.discarded:
        say(f"the unfinished run differs in {', '.join(journal.discarded)}: it is discarded, and begun anew.")


@contextmanager
def kept(journal: Journal) -> Iterator[Journal]:
    """Open a journal; if the work ends early, say that its finished queries are kept."""
    try:
        with journal:
            yield journal
    except BaseException:
        if journal.done and journal.path.exists():
            say(f"{len(journal.done)} finished queries are kept; continue with --resume.")
        raise
