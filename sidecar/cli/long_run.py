"""The work of `run` and `rerank`: scores what is not in the journal yet, and writes the output at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.cli.effects import Condition
from sidecar.cli.factories import build_reranker, describe_model, open_scores
from sidecar.cli.progress import Pace, progress, working
from sidecar.cli.terminal import say
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

# For commands that write a run.
TAG = Condition(("tag",), lambda mode: mode.output_format is RunFormat.TREC, "only the TREC format has a column for it")
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
    """One output that is being written.

    A journal is continued only if its `identity` is the same. `first_stage` describes the candidates in the manifest.
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
        fused = self.settings.fusion not in {None, Method.RERANK}
        return Demands(self.output_format, self.settings.window, fused, self.remove_query)

    def finish(self, work: Callable[[], RunInputs], *, first_stage_output: Path | None = None) -> str:
        """Load the model, do the work, publish the result, and return a summary of it.

        `work` is called once it is certain that an unfinished run may be continued. Raises `InputError` for a run that
        could not be read, and for one without a candidate.
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
                    # Scores from the score file, which are looked up in advance, don't count for the rate.
                    pace.passages = max(0, scored - (0 if store is None else store.found))
                    meter.advance()

                lists = watch(self.demands.check(todo.lists(journal.done)))
                rerank_lists(lists, reranker, journal, depth, finished=finished)
            remembered = 0 if store is None else store.found
            seconds = pace.seconds
            with working(f"writing {self.output}"):
                model = describe_model(self.settings, reranker)
                manifest = RunManifest(self.command, self.identity, model, self.first_stage, remembered)
                manifest.write(self.output, journal, seconds=seconds, resumed=resumed)
                publish(journal, self.output, self.output_format, self.tag, first_stage_output=first_stage_output)
        return _summary(pace, resumed, remembered) + _unscored(watch)


def keep_finished(*outputs: Path, force: bool, resume: bool = False) -> None:
    """Raise `ConfigurationError` if an output exists already, unless `force` is set.

    With `resume` a journal beside the first output goes on: the run that it belongs to was allowed to replace it.
    """
    found = [output for output in outputs if output.is_file()]
    if not found or force or (resume and journal_of(outputs[0]).exists()):
        return
    exist = "exists already, and is" if len(found) == 1 else "exist already, and are"
    raise ConfigurationError(
        f"{' and '.join(map(str, found))} {exist} finished.",
        remedy="Write to another file, or replace it with --force.",
    )


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
