"""The help of each command: what lists it, and its example, which parses, and runs where no other machine is needed."""

from __future__ import annotations

import json
import shlex

import pytest
from typer.main import get_command

from sidecar.cli.app import GROUPS, app

COMMANDS = get_command(app).commands
EXAMPLES = {name: shlex.split(command.epilog) for name, command in COMMANDS.items()}
# In an order in which each finds the files that those before it wrote. `demo` has a test of its own; `serve` and
# `install-pipeline` need an OpenSearch, `train` a base model of the hub, and `bench` a minute.
IN_ORDER = (
    *("index", "search", "run", "evaluate", "report", "mine", "rerank", "teach", "fit-calibration", "doctor"),
    "settings",
)


def test_every_command_is_in_one_group():
    listed = [name for names in GROUPS.values() for name in names]
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize(("name", "listed"), [pair for commands in GROUPS.values() for pair in commands.items()])
def test_the_help_of_sidecar_has_the_first_sentence_of_a_commands_own(name, listed):
    assert listed.summary == " ".join(COMMANDS[name].help.split("\n\n")[0].split())


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_parses(name):
    program, command, *words = EXAMPLES[name]
    assert (program, command) == ("sidecar", name)
    with COMMANDS[name].make_context(name, words) as context:
        assert context.args == []


@pytest.mark.live
@pytest.mark.usefixtures("jvm")
def test_the_examples_work_one_after_the_other(run, tmp_path):
    texts = {"flea": "The life cycle of a flea is long.", "dog": "How long a dog lives.", "cat": "A cat has a flea."}
    documents = [{"id": docid, "title": docid.title(), "text": text} for docid, text in texts.items()]
    queries = {str(number): query for number, query in enumerate(["life cycle of a flea", "how long a dog lives"] * 4)}
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))
    (tmp_path / "queries.tsv").write_text("".join(f"{qid}\t{query}\n" for qid, query in queries.items()))
    (tmp_path / "qrels.txt").write_text(
        "".join(f"{qid} 0 {'flea' if 'flea' in query else 'dog'} 1\n" for qid, query in queries.items())
    )
    for name in IN_ORDER:
        if name == "rerank":
            (tmp_path / "candidates.jsonl").write_bytes((tmp_path / "train.jsonl").read_bytes())
        status, out, err = run(*EXAMPLES[name][1:])
        assert status == 0, (name, out, err)
    written = {path.name for path in tmp_path.iterdir()}
    assert {"run.trec", "run.trec.first-stage", "reranked.jsonl", "teacher.jsonl", "sidecar.json"} <= written
