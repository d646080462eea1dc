"""Shared by `run` and `rerank`: a journal, a model, progress, and the files that appear at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.cli.effects import Condition
from sidecar.cli.factories import build_reranker, describe_model, open_scores, say
from sidecar.cli.progress import Pace, progress
from sidecar.core.candidates import Ranking
from sidecar.core.errors import ConfigurationError
from sidecar.core.fusion import Method
from sidecar.experiments.candidate_lists import CandidateList
from sidecar.experiments.journal import Journal, journal_of
from sidecar.experiments.list_checks import Demands, check_tag
from sidecar.experiments.manifest import RunManifest
from sidecar.experiments.publish import publish
from sidecar.experiments.rerank_lists import Depth, TextWatch, rerank_lists
from sidecar.experiments.run_files import RunFormat
from sidecar.settings import Settings

# Of commands that write a run.
TAG = Condition(
    ("tag",), lambda mode: mode.output_format is RunFormat.TREC, "a run has a column for it in the TREC format alone"
)
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class RunInputs:
    """The queries of a run: how many there are, and a call that gives their candidates, told which are finished.

    `hits` is how many of each are kept (None: all).
    """

    queries: int
    lists: Callable[[set[str]], Iterable[CandidateList]]
    hits: int | None = None


@dataclass(frozen=True, slots=True)
class LongRun:
    """One output in the making.

    `identity` decides whether a journal is gone on with; `first_stage` is what the manifest says of the candidates.
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

    @property
    def demands(self) -> Demands:
        """The demands on candidate lists, checked before they are scored."""
        fused = self.settings.fusion is not Method.RERANK
        return Demands(self.output_format, self.settings.window, fused, self.remove_query)

    def finish(self, work: Callable[[], RunInputs], *, first_stage_output: Path | None = None) -> str:
        """Do the work and publish it; returns what a person should know of it. Loads the model.

        `work` is called when it is certain that an unfinished run is gone on with by right. Raises `InputError` for a
        run that could not be read, and one without a candidate.
        """
        check_tag(self.tag)
        with (
            kept(Journal(self.output, self.identity, resume=self.resume)) as journal,
            open_scores(self.settings) as store,
        ):
            todo, resumed = work(), len(journal.done)
            reranker = build_reranker(self.settings, remember=False, store=store)
            watch = TextWatch(self.settings.as_fields(), self.settings.window, say)
            depth = Depth(self.settings.window, todo.hits, documents=self.output_format is RunFormat.JSONL)
            pace = Pace("queries", total=todo.queries, already=resumed)
            scored = 0
            with progress("reranking", pace) as meter:

                def finished(ranking: Ranking) -> None:
                    nonlocal scored
                    scored += ranking.scored
                    # What comes out of the score file is no speed. It is looked up ahead of what is finished.
                    pace.passages = max(0, scored - (0 if store is None else store.found))
                    meter.advance()

                lists = watch(self.demands.check(todo.lists(journal.done)))
                rerank_lists(lists, reranker, journal, depth, finished=finished)
            remembered = 0 if store is None else store.found
            model = describe_model(self.settings, reranker.scorer)
            manifest = RunManifest(self.command, self.identity, model, self.first_stage, remembered)
            manifest.write(self.output, journal, seconds=pace.seconds, resumed=resumed)
            publish(journal, self.output, self.output_format, self.tag, first_stage_output=first_stage_output)
        return _summary(pace, resumed, remembered) + _unscored(watch)


def keep_finished(*outputs: Path, force: bool, resume: bool = False) -> None:
    """Raise `ConfigurationError` where an output is there already, unless `force` is set.

    With `resume` a journal beside the first output goes on: the run that it belongs to was allowed to replace it.
    """
    found = [output for output in outputs if output.is_file()]
    if not found or force or (resume and journal_of(outputs[0]).exists()):
        return
    raise ConfigurationError(
        f"{' and '.join(map(str, found))} {'are' if len(found) > 1 else 'is'} there already, finished.",
        remedy="Write to another file, or replace it by --force.",
    )


@contextmanager
def kept(journal: Journal) -> Iterator[Journal]:
    """Open a journal; whatever ends the work early, the person is told that nothing of it is lost."""
    try:
        with journal:
            yield journal
    except BaseException:
        if journal.done and journal.path.exists():
            say(f"{len(journal.done)} finished queries are kept: go on with --resume.")
        raise


def _summary(pace: Pace, resumed: int, remembered: int) -> str:
    seconds, computed = pace.seconds, pace.passages
    earlier = f" ({resumed} of them before)" if resumed else ""
    known = f" and {remembered} taken from the score file" if remembered else ""
    rate = f" ({computed / seconds:.0f}/s)" if computed else ""
    return f"{pace.done} queries{earlier}, {computed} passages scored{known} in {seconds:.1f} s{rate}"


def _unscored(watch: TextWatch) -> str:
    queries = f", in {watch.unreadable} queries all of them" if watch.unreadable else ""
    empty = f"; {watch.empty} candidates without text were not scored{queries}" if watch.empty else ""
    shown = ", ".join(watch.bare[:_SHOWN]) + (" …" if watch.bare[_SHOWN:] else "")
    return empty + (f"; {len(watch.bare)} queries have no candidate: {shown}" if watch.bare else "")
