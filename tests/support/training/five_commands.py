"""The commands of docs/TRAINING.md, and a folder and a recipe of toy size to run them in."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import torch

from sidecar.cli.main import main
from tests.support.training import tasks

TEXT = (Path(__file__).parents[3] / "docs" / "TRAINING.md").read_text(encoding="utf-8")
# What the page promises of the toy.
MARGIN = 0.3
# By the environment, so that the commands stay as they are: the card's recipe is for three billion weights.
RECIPE = {"TRAIN_LEARNING_RATE": "3e-3", "TRAIN_EPOCHS": "4", "TRAIN_PASSAGES": "4", "DEVICE": "cpu", "WINDOW": "10"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stand in a folder with everything that the page says one brings."""
    tasks.collection(tmp_path, train=48, test=16)
    monkeypatch.chdir(tmp_path)
    for name, value in RECIPE.items():
        monkeypatch.setenv(f"SIDECAR_{name}", value)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(before)


def commands(tiny_llama, tiny_bert, **changed):
    """The words of each command after `sidecar`, on models of toy size; words that `changed` names differ too."""
    block = re.search(r"```console\n(.*?)```", TEXT, re.DOTALL)[1].replace("\\\n", " ")
    lines = [part for line in block.splitlines() for part in line.removeprefix("$ ").split("&&")]
    toys = {"meta-llama/Llama-3.2-3B": str(tiny_llama[0]), "bge-reranker-v2-m3": str(tiny_bert), **changed}
    return [[toys.get(word, word) for word in shlex.split(line)[1:]] for line in lines]


def done(words, *, status=0, capsys=None):
    """Run a command that ends with this status; returns what it said."""
    with pytest.raises(SystemExit) as end:
        main(words)
    said = "" if capsys is None else capsys.readouterr().err
    assert (end.value.code or 0) == status, said
    return said


def figures(evaluate, capsys):
    """nDCG@10 of each run that the command compares."""
    capsys.readouterr()
    done([*evaluate, "--json"])
    return [one["values"]["nDCG@10"] for one in json.loads(capsys.readouterr().out)]
