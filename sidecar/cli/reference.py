"""docs/cli.md out of the commands themselves: `python -m sidecar.cli.reference > docs/cli.md`, or `make docs`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from sidecar.cli.app import app
from sidecar.cli.main import COMMANDS
from sidecar.settings import Settings

_HEAD = """\
# The command line

Made by `make docs` out of the commands themselves. An option with a variable is a setting: [settings.md](settings.md)
says where else it can be set. Results go to stdout or to the files that are named, all else to stderr; the exit status
is 1 after an error, 2 after a wrong option, 130 after Ctrl-C, 143 after SIGTERM.

An option that was typed and has no effect in this mode of the command is an error, which says why: `--fusion-weight`
without a fusion, `--k1` with OpenSearch, `--rm3-fb-terms` without `--rm3`, `--tag` in a format without tags. Variables
and `sidecar.toml` are shared by all commands, so what they set and a command does not use is ignored there. Commands
that search take OpenSearch where its URL is set (`--url`, SIDECAR_OPENSEARCH_URL) and else Lucene; `--engine` decides
where both a URL and a Lucene index are meant. A finished output of `run`, `rerank`, `teach` or `mine` is only replaced
with `--force`.
"""
_TAIL = """
## What appears beside a run

- `OUTPUT.manifest.json`: the `settings` that had an effect on the result, with SHA-256 of the inputs; the `model` with
  directory, hub commit and device; the `first_stage` with index, documents, k1 and b, or the query body; `versions`;
  `queries`, `hits`, `passages_scored`, `passages_from_score_file`, `queries_without_candidates` by their ids; `seconds`
  of the last process, and `queries_resumed`, which it found finished. No secrets.
- `OUTPUT.first-stage`, of `run` alone: the same hits as the first stage had them.
- `.OUTPUT.journal`, while it is unfinished: what `--resume` goes on with; of `train` it is `.OUTPUT.training`.

With `--score-file FILE` every score is kept in FILE by model, query and passage, and none of them is computed again by
another run, whatever its fusion, its window or its first stage. A model is told from others by its files, its manifest
and how it is run. Several runs may use one file at a time. A file that is damaged, of another format or something else
is refused, never replaced. A score is that of the batch it was first computed in: another would change its last digits.

`rerank --run` reads the run, the queries and the corpus once each; the texts it needs wait in a temporary file on disk
(`SQLITE_TMPDIR`), not in memory, as do pairs (`top1000.dev`). Which files the commands read: [FILES.md](FILES.md).
"""


def reference() -> str:
    """The page: each command with its sentence, its arguments and its options."""
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    names = [module.__name__.rpartition(".")[2].removesuffix("_command") for module in COMMANDS]
    ordered = sorted(commands, key=lambda name: (names.index(name) if name in names else len(names), name))
    return _HEAD + "".join(line for name in ordered for line in _section(name, commands[name])) + _TAIL


def _section(name: str, command: Any) -> Iterator[str]:
    yield f"\n## `sidecar {name}`\n\n{' '.join(command.help.split())}\n\n| option | what it does |\n| --- | --- |\n"
    for parameter in command.params:
        if parameter.name == "help":
            continue
        is_option = parameter.param_type_name == "option"
        flags = ", ".join([*parameter.opts, *parameter.secondary_opts]) if is_option else parameter.name.upper()
        yield f"| `{flags}` | {_help(parameter)} |\n"


def _help(parameter: Any) -> str:
    text = re.sub(r"\[/?dim\]|\[/\]", "", parameter.help or "").replace("|", "\\|")
    choices = getattr(getattr(parameter, "type", None), "choices", None)
    shown = [f"One of {', '.join(getattr(one, 'value', one) for one in choices)}."] if choices else []
    if parameter.required:
        shown.append("Required.")
    elif parameter.name not in Settings.model_fields and parameter.default not in (None, False, ...):
        shown.append(f"Default: {getattr(parameter.default, 'value', parameter.default)}.")
    return " ".join([text, *shown])


if __name__ == "__main__":
    sys.stdout.write(reference())
