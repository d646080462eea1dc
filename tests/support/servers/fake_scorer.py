"""A scorer process without a model, told by the query what to go through: run it as `python fake_scorer.py`."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from sidecar.core.candidates import Score
from sidecar.core.errors import ModelError, NonFiniteScore
from sidecar.scoring.checkpoints.manifest import Manifest, PreferredFusion
from sidecar.scoring.score_mapping import Mapping
from sidecar.serving.scorer.worker import run


@dataclass
class Read:
    """A query and passages; of each as many tokens as take the milliseconds that it asks to be slept for."""

    query: str
    passages: list
    lengths: list[int]

    def part(self, start, stop):
        return Read(self.query, self.passages[start:stop], self.lengths[start:stop])


TOKENS = 16  # in a millisecond


class Scripted:
    """Scores a passage by the number in its text, else its length; the query may ask for trouble.

    `die on cuda:1` is trouble on that device alone; likewise `fail`, `nan` and `hang`. `shift` is added to all scores.
    """

    name = "scripted"
    mapping = Mapping()
    manifest = Manifest(max_length=256)
    device = "auto"
    shift = 0

    def score(self, query, passages):
        return self.score_all([self.read(query, passages)])[0]

    def read(self, query, passages):
        if "unreadable" in query:
            raise ValueError("told not to read")
        asked = [re.search(r"sleep (\d+)", query + " " + passage.text) for passage in passages]
        return Read(query, list(passages), [TOKENS * int(found[1]) if found else 0 for found in asked])

    def score_all(self, readings):
        return [self._scores(reading.query, reading.passages, reading.lengths) for reading in readings]

    def _trouble(self, query):
        found = re.search(r"(fail|nan|hang|die)(?: on (\S+))?", query)
        return found[1] if found and found[2] in {None, self.device} else None

    def _scores(self, query, passages, lengths):
        trouble = self._trouble(query)
        if trouble == "fail":
            raise ValueError("told to fail")
        if trouble == "nan":
            raise NonFiniteScore("scripted scored 1 of 1 passages as NaN or infinity.")
        if trouble == "hang":
            time.sleep(3600)
        if trouble == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(sum(lengths) / TOKENS / 1000)
        numbers = [re.search(r"score (-?\d+(?:\.\d+)?)", passage.text) for passage in passages]
        return [
            Score(
                self.shift + (float(number[1]) if number else float(len(passage.text))),
                truncated="endless" in passage.text,
                tokens=len(f"{query} {passage.title} {passage.text}".split()),
            )
            for number, passage in zip(numbers, passages, strict=True)
        ]


class Constant(Scripted):
    """Gives all passages one score, so that the first stage's order stays."""

    def _scores(self, query, passages, lengths):
        return [Score(0.5) for _ in passages]


class Fused(Scripted):
    """A scripted model that prefers a fusion."""

    manifest = Manifest(max_length=256, fusion=PreferredFusion(weight=0.75))


class Calibrated(Scripted):
    """A scripted model whose scores are probabilities: 0.5 at 0, 0.88 at 2."""

    mapping = Mapping(calibrated=True)


class Shifted(Scripted):
    """A scripted model after a reload: all its scores are higher by 1000."""

    def _scores(self, query, passages, lengths):
        return [Score(score.value + 1000) for score in super()._scores(query, passages, lengths)]


class Poisoned(Scripted):
    """A scripted model whose new weights hold NaN."""

    def _scores(self, query, passages, lengths):
        raise NonFiniteScore("scripted scored 1 of 1 passages as NaN or infinity.")


class Models:
    """Models by name, from their specifications.

    One that is called broken can't be read anew (`broken on cuda:1`: there), one called slow takes its time, one called
    poisoned then gives NaN. If its checkpoint is a file, the number in it is added to the scores, each time it is read.
    """

    def __init__(self, specs, make):
        self.specs = specs
        self.scorers = {name: self._read(name, make) for name in specs}

    def _read(self, name, make):
        scorer, spec = make(), self.specs[name]
        scorer.device = spec.device
        if (file := Path(spec.model)).is_file():
            scorer.shift = int(file.read_text())
        return scorer

    def reload(self, name, prove):
        device = self.specs[name].device
        if "broken" in name and name.partition(" on ")[2] in {"", device}:
            raise ModelError("its files are damaged.", remedy="Write them again.")
        if "slow" in name:
            time.sleep(1)
        if "deadly" in name:
            os.kill(os.getpid(), signal.SIGKILL)
        scorer = self._read(name, Poisoned if "poisoned" in name else Shifted)
        prove(scorer)
        self.scorers[name] = scorer
        return scorer


def identity(name, scorer):
    """Return a text that distinguishes the models of one name."""
    return f"{name} {type(scorer).__name__}" + (f" {scorer.shift}" if scorer.shift else "")


if __name__ == "__main__":
    chosen = {"constant": Constant, "fused": Fused, "calibrated": Calibrated}.get(" ".join(sys.argv[1:]), Scripted)
    run(
        lambda load: Models(load.models, chosen),
        lambda _, scorers: {name: identity(name, scorer) for name, scorer in scorers.items()},
    )
