"""The work of `sidecar sweep`: first stages, scores, points, the choice, and its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

from sidecar.cli.effects import SearchEngine, in_effect
from sidecar.cli.factories import chosen, digest, model_files, stage_two_identity
from sidecar.cli.first_stages import SEARCHED
from sidecar.cli.options import BM25, FIELDS, MODEL, RM3
from sidecar.cli.progress import Pace, progress, working
from sidecar.cli.run_summary import answers_in_words
from sidecar.cli.sweep_listwise import KeptAnswers, SweptStageTwo, open_stages_two, stage_two_settings
from sidecar.cli.sweep_scores import read_lists, score_queries
from sidecar.cli.sweep_stages import INPUTS, Stages, SweepFolder, engine_of, record, with_values
from sidecar.cli.terminal import say
from sidecar.core.errors import ConfigurationError, InputError
from sidecar.core.fusion import Fusion
from sidecar.core.listing import some_of
from sidecar.experiments.evaluate import Measuring, check_documents
from sidecar.experiments.fusion_arrays import ScoredList
from sidecar.experiments.manifest import versions
from sidecar.experiments.qrels import Qrels, read_qrels
from sidecar.experiments.query_split import Split, split_by_file, split_by_seed
from sidecar.experiments.stage_files import StageFile
from sidecar.experiments.sweep_files import fusion_settings, write_csv, write_json, write_settings
from sidecar.experiments.sweep_plan import StagePoint, SweepPlan
from sidecar.experiments.sweep_points import Measured, Scored, SweepMeasures, SweepResult
from sidecar.experiments.sweep_run_file import write_best_run
from sidecar.experiments.topics import read_topics
from sidecar.settings import Settings


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep of a plan into a folder; `settings` decide all that the plan leaves open."""

    plan: SweepPlan
    settings: Settings
    folder: SweepFolder
    threads: int = 1

    def run(self) -> SweepResult:
        """Do what the folder does not hold yet, choose, and write the files.

        Raises `InputError` for files that can't be read, judgements of another collection, and queries that differ;
        `ConfigurationError` for inputs that changed since the folder was made.
        """
        windows = list(dict.fromkeys(self.plan.windows or [self.settings.window]))
        hits = max(self.plan.hits, *windows)
        models = self._models()
        self._stage_two_settings()
        self.folder.open()
        self._check_inputs(models)
        with working("reading the judgements"):
            qrels = read_qrels(self.plan.qrels)
        stages = self.plan.stages()
        with ExitStack() as stack:
            work = Stages(self.plan, self.settings, self.folder, hits, self.threads)
            files = {one.name: stack.enter_context(closing(work.file(one))) for one in stages}
            qids = self._judged_queries(files, qrels)
            kept = {qid: qrels[qid] for qid in qids}
            _check_judged(files, qids, qrels)
            split = self._split(qids)
            scored = self._score(models, files, qids, max(windows))
            stages_two = stack.enter_context(self._stages_two(files))
            measures = SweepMeasures(Measuring(self.plan.measure, kept), split, qids, hits, stages_two)
            result = self._measure(measures, scored, windows)
            for name, one in stages_two.items():
                say(f"stage two {name}: {answers_in_words(one.answers)}.")
            self._write(result, models, {name: one.told for name, one in stages_two.items()})
            self._write_run(result.choice.best, files, scored, stages_two)
        return result

    def _measure(self, measures: SweepMeasures, scored: Scored, windows: Sequence[int]) -> SweepResult:
        """Measure every point, and choose one."""
        fusions, first_stages = self.plan.fusions(), measures.first_stages(scored)
        lists = sum(len(models) for models in scored.values())
        pace = Pace("points", total=lists * len(windows) * len(fusions) * (1 + len(measures.stages_two)))
        points: list[Measured] = []
        with progress("fusing, and asking generators" if measures.stages_two else "fusing", pace) as meter:
            for one in measures.points(scored, windows, fusions):
                points.append(one)
                meter.advance()
        choice = measures.choose(scored, first_stages, points)
        return SweepResult(first_stages, points, choice, measures.split, measures.measuring.name)

    def _stage_two_settings(self) -> dict[str, Settings]:
        """Return the settings of each stage two by its name. Raises `ConfigurationError` for a wrong one."""
        return stage_two_settings(self.plan.stages_two(), self.settings)

    @contextmanager
    def _stages_two(self, files: Mapping[str, StageFile]) -> Iterator[dict[str, SweptStageTwo]]:
        """Open the generators, whose answers are kept in the folder."""
        settings = self._stage_two_settings()
        if not settings:
            yield {}
            return
        with (
            closing(KeptAnswers(self.folder.answers)) as answers,
            open_stages_two(settings, files, answers) as found,
        ):
            yield found

    def _models(self) -> dict[str, Settings]:
        """Return the settings of each model by its name in the plan. Raises `ConfigurationError` for a wrong one."""
        found: dict[str, Settings] = {}
        for entry in self.plan.models or [self.settings.model]:
            values = {"model": entry} if isinstance(entry, str) else dict(entry)
            name = str(values.pop("name", values.get("model", self.settings.model)))
            if stray := sorted(values.keys() - set(MODEL)):
                raise ConfigurationError(
                    f"models: {', '.join(stray)} is no setting of a model.", remedy=f"They are {', '.join(MODEL)}."
                )
            if name in found:
                raise ConfigurationError(f"two models have the name {name}.", remedy="Give one of them a `name`.")
            found[name] = with_values(self.settings, values)
        return found

    def _check_inputs(self, models: Mapping[str, Settings]) -> None:
        """Compare the files and models with those that the folder was made from, and record them."""
        files = {"qrels": self.plan.qrels, "topics": self.plan.topics}
        with working("computing checksums of the input"):
            inputs = {name: digest(path) for name, path in files.items() if path is not None}
        for name, settings in models.items():
            inputs[f"model {name}"] = model_files(settings)
        self.folder.accept(INPUTS, inputs)
        record(self.folder.path / INPUTS, inputs)

    def _judged_queries(self, files: Mapping[str, StageFile], qrels: Qrels) -> list[str]:
        """Return the queries that are asked and judged; say what is left out and what counts as 0."""
        asked = (
            [qid for qid, _ in read_topics(self.plan.topics)]
            if self.plan.topics is not None
            else list(dict.fromkeys(qid for file in files.values() for qid in file))
        )
        found = [qid for qid in asked if qid in qrels]
        if not found:
            raise InputError(
                f"{self.plan.qrels} judges none of the {len(asked)} queries.",
                remedy="Are these the qrels of the same collection?",
            )
        for count, words in (
            (len(asked) - len(found), "queries without judgements are left out"),
            (len(qrels.keys() - set(found)), "judged queries are not among the topics, and are left out"),
        ):
            if count:
                say(f"{count} {words}.")
        for name, file in files.items():
            if lacking := [qid for qid in found if not file.read(qid).candidates]:
                say(f"{name}: {len(lacking)} queries without a candidate count as 0: {some_of(lacking)}.")
        return found

    def _split(self, qids: Sequence[str]) -> Split:
        choose = self.plan.choose
        if choose.on is not None:
            return split_by_file(qids, choose.on)
        return split_by_seed(qids, choose.fraction, choose.seed)

    def _score(
        self, models: Mapping[str, Settings], files: Mapping[str, StageFile], qids: Sequence[str], window: int
    ) -> dict[str, dict[str, list[ScoredList]]]:
        from sidecar.scoring.score_store import ScoreStore

        scored: dict[str, dict[str, list[ScoredList]]] = {name: {} for name in files}
        with closing(ScoreStore(self.settings.score_file or self.folder.scores)) as store:
            for model, settings in models.items():
                for stage, lists in score_queries(settings, files, qids, window, store).items():
                    scored[stage][model] = lists
        return scored

    def _write_run(
        self,
        chosen_point: Measured,
        files: Mapping[str, StageFile],
        scored: Scored,
        stages_two: Mapping[str, SweptStageTwo],
    ) -> None:
        best = chosen_point.point
        queries = read_lists({best.stage: files[best.stage]}, list(chosen_point.by_query))
        lists = (query.lists[best.stage] for query in queries)
        second = None if best.listwise is None else stages_two[best.listwise]
        write_best_run(self.folder.path / "best.trec", lists, scored[best.stage][best.model or ""], best, second)

    def _write(self, result: SweepResult, models: Mapping[str, Settings], stages_two: Mapping[str, Any]) -> None:
        best, path = result.choice.best.point, self.folder.path
        [stage] = [one for one in self.plan.stages() if one.name == best.stage]
        settings = self._best_settings(stage, models[best.model or ""], best.window or 0)
        settings |= fusion_settings(best.fusion or Fusion())
        comments = _comments(result, stage)
        if best.listwise is not None:
            own = self._stage_two_settings()[best.listwise]
            settings |= stage_two_identity(own)
            if settings.pop("listwise_request"):
                comments.append("listwise_request is left out here: set it as it was set for the sweep.")
        write_settings(path / "best.toml", {n: v for n, v in settings.items() if v is not None}, comments)
        write_csv(path / "sweep.csv", result)
        more = {"stages_two": stages_two} if stages_two else {}
        write_json(path / "sweep.json", result, {"settings": settings, "versions": versions(), **more})

    def _best_settings(self, stage: StagePoint, model: Settings, window: int) -> dict[str, Any]:
        """Return every setting that decides the result and is not the default, and those that were swept."""
        settings = with_values(model, {**stage.settings, "window": window})
        names = [*MODEL, *FIELDS]
        if stage.table.index is not None and engine_of(stage, settings) is SearchEngine.LUCENE:
            names += BM25 + RM3
        used = chosen(settings, in_effect(names, settings, SEARCHED, engine=SearchEngine.LUCENE))
        defaults = Settings.model_construct().model_dump(mode="json")
        always = {"model", "k1", "b", "rm3"}
        found = {name: value for name, value in used.items() if name in always or value != defaults[name]}
        return {**found, "window": window}


def _check_judged(files: Mapping[str, StageFile], qids: Sequence[str], qrels: Qrels) -> None:
    for name, file in files.items():
        run = {qid: [one.docid for one in file.read(qid).candidates] for qid in qids}
        check_documents(run, qrels, f"the first stage {name}")


def _comments(result: SweepResult, stage: StagePoint) -> list[str]:
    best, against = result.choice.best, result.choice.against_first_stage
    table = stage.table
    source = next(str(path) for path in (table.index, table.candidates, table.run) if path is not None)
    gain = f"{best.report:.4f}, {against.difference:+.4f} against the first stage (p {against.p:.3g})"
    return [
        "Chosen by `sidecar sweep`. `SIDECAR_CONFIG=best.toml sidecar …` uses it in place of sidecar.toml.",
        f"Chosen by {result.measure} on {len(result.split.choose)} queries ({result.split.about}): {best.choose:.4f}.",
        f"On the {len(result.split.report)} other queries: {gain}.",
        f"First stage {stage.name}: {source}",
    ]
