"""A scorer process without a model, told by the query what to go through: run it as `python fake_scorer.py`."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from sidecar.candidates import Score
from sidecar.errors import NonFiniteScore
from sidecar.scoring.mapping import Mapping
from sidecar.serving.scorer_process import run


class Scripted:
    """Scores a passage by the number in its text, else its length; the query may ask for trouble."""

    name = "scripted"
    mapping = Mapping()

    def score(self, query, passages):
        if "fail" in query:
            raise ValueError("told to fail")
        if "nan" in query:
            raise NonFiniteScore("scripted scored 1 of 1 passages as NaN or infinity.")
        if "hang" in query:
            time.sleep(3600)
        if "die" in query:
            os.kill(os.getpid(), signal.SIGKILL)
        scores = []
        for passage in passages:
            time.sleep(float(found[1]) / 1000) if (
                found := re.search(r"sleep (\d+)", query + " " + passage.text)
            ) else None
            number = re.search(r"score (-?\d+(?:\.\d+)?)", passage.text)
            scores.append(Score(float(number[1]) if number else float(len(passage.text))))
        return scores


class Constant(Scripted):
    """Gives all passages one score, so that the first stage's order stays."""

    def score(self, query, passages):
        return [Score(0.5) for _ in passages]


if __name__ == "__main__":
    chosen = Constant if sys.argv[1:] == ["constant"] else Scripted
    run(lambda load: {name: chosen() for name in load.models})
