"""Writes docs/cli.md from the commands: `python -m sidecar.cli.reference > docs/cli.md`, or `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from sidecar.cli.app import GROUPS, app
from sidecar.cli.help_pages import flags_of, kinds_of, words_of
from sidecar.cli.setting_sections import SECTIONS

_HEAD = """\
# The command line

`make docs` writes this page from the commands. Results go to stdout or to the files that are named; messages go to
stderr. The exit status is 1 after an error, 2 after a wrong option, 130 after Ctrl-C, and 143 after SIGTERM.

Settings are listed for each command by their flags; [settings.md](settings.md) has their values, defaults and meaning,
and says where else they can be set.

An option on the command line that has no effect in this mode of the command is an error: `--fusion-weight` without
`--fusion`, `--k1` with OpenSearch, `--rm3-fb-terms` without `--rm3`, `--tag` in a format without tags. Variables and
`sidecar.toml` are shared by all commands, so a command ignores what it does not use of them. Commands that search use
OpenSearch if its URL is set (`--url`, `SIDECAR_OPENSEARCH_URL`), and Lucene otherwise; `--engine` decides if both a URL
and a Lucene index are given. `run`, `rerank`, `teach`, `mine`, `report` and `reproduce` replace a finished output only
with `--force`.

On a terminal a moving line says what a command is doing. Otherwise stderr gets a plain line once something takes more
than two seconds, and then every 30 seconds; lines are never wrapped.
"""
_TAIL = """
## Files beside a run

- `OUTPUT.manifest.json` holds the `settings` that had an effect on the result, with the SHA-256 of the inputs; the
  `model` with directory, hub commit and device; the `first_stage` with index, documents, k1 and b, or the query body;
  `versions`; `queries`, `hits`, `passages_scored`, `passages_from_score_file`; the ids of
  `queries_without_candidates`; the `seconds` of the last process, and `queries_resumed`, the number of queries that
  were finished before it. It holds no secrets.
- `OUTPUT.first-stage` holds the first `--hits` hits of the first stage. They are those of the run in another order, but
  where `--window` is above `--hits`, or `--min-relevance` left hits out. Only `run` writes it.
- `.OUTPUT.journal` exists while the run is unfinished; `--resume` continues from it. For `train` it is
  `.OUTPUT.training`.

`--score-file FILE` keeps every score in FILE by model, query and passage. Another run does not compute it again,
whatever its fusion, window or first stage. Models are distinguished by their files, their manifest, and how they are
run. Several runs may use one file at a time. A file that is damaged or has another format is refused, never replaced.
A score depends on the batch in which it was computed first, in its last digits.

`rerank --run` reads the run, the queries and the corpus once each. The texts that it needs, and files of one pair a
line (`top1000.dev`), are kept in a temporary file on disk (`SQLITE_TMPDIR`), not in memory. [FILES.md](FILES.md) lists
the file formats that the commands read.
"""


def reference() -> str:
    """Return the page: each command with its help, an example, its arguments and its options, by group."""
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    lines = []
    for group, names in GROUPS.items():
        lines.append(f"\n## {group}\n")
        lines += [line for name in names for line in _section(name, commands[name])]
    return _HEAD + "".join(lines) + _TAIL


def _section(name: str, command: Any) -> Iterator[str]:
    yield f"\n### `sidecar {name}`\n\n"
    yield "".join(f"{' '.join(paragraph.split())}\n\n" for paragraph in command.help.split("\n\n"))
    yield f"```console\n$ {command.epilog}\n```\n"
    settings = getattr(command.callback, "takes", {})
    own = [one for one in command.params if one.name != "help" and one.name not in settings]
    if own:
        yield "\n| option | meaning |\n| --- | --- |\n"
    kinds = kinds_of(command)
    for parameter in own:
        words = words_of(parameter, kinds).replace("|", "\\|").replace("<", "&lt;")
        yield f"| `{flags_of(parameter, kinds)}` | {words} |\n"
    if settings:
        yield "\nSettings:\n\n"
    flags = {one.name: ", ".join(f"`{flag}`" for flag in (*one.opts, *one.secondary_opts)) for one in command.params}
    for section, names in SECTIONS.items():
        if listed := [flags[setting] for setting in names if setting in settings]:
            anchor = section.lower().replace(" ", "-")
            yield f"- [{section}](settings.md#{anchor}): {', '.join(listed)}\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
