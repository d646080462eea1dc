"""Writes docs/settings.md from the settings: `python -m sidecar.cli.settings_page > docs/settings.md` (`make docs`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from sidecar.cli.setting_sections import SECTIONS, describe_default, values_of
from sidecar.settings import Settings, variable

_HEAD = """\
# Settings

`make docs` writes this page from the settings. Every setting has three names: `--window` on the command line,
`SIDECAR_WINDOW` in the environment, and `window` in the file `sidecar.toml`. That file lies in the working directory,
or where `SIDECAR_CONFIG` says. A flag wins over a variable, a variable over the file, and the file over the default.
An unknown name is an error, which suggests the nearest known name. `sidecar settings` prints all settings with their
present values.

Some flags are shorter than their setting: `--url` is `SIDECAR_OPENSEARCH_URL`, and the flags of `sidecar train` leave
out the prefix, so `--loss` is `SIDECAR_TRAIN_LOSS`. Passwords, tokens and keys have no flag, so that no list of
processes shows them. A true or false setting has two flags: `--rm3` and `--no-rm3`.
"""

# What a reader must know of a section beside its table.
_INTRODUCTIONS = {
    "RM3": "RM3 needs a local Lucene index that stores term vectors or documents.",
    "Pyserini server": "`SIDECAR_K1` and `SIDECAR_B` are sent to the server only if one of them is set; otherwise the "
    "server uses its own.",
    "Service": "[SERVICE.md](SERVICE.md) explains these settings.",
    "Rerank API": "[API.md](API.md) explains these settings.",
    "Training": "Only `sidecar train` uses these settings; [TRAINING.md](TRAINING.md) explains them.",
}

_TAIL = """
## A file

```toml
model = "dear-3b-ranknet-lora"
dtype = "bfloat16"
window = 100
fusion = "linear"
fusion_weight = 0.8
text_fields = ["abstract", "body.text"]
```
"""


def settings_page() -> str:
    """Return the page: a table for each section, with allowed values, default and meaning of each setting."""
    return _HEAD + "".join(line for section in SECTIONS for line in _section(section)) + _TAIL


def _section(section: str) -> Iterator[str]:
    yield f"\n## {section}\n\n"
    if introduction := _INTRODUCTIONS.get(section):
        yield f"{introduction}\n\n"
    yield "| variable | values | default | meaning |\n| --- | --- | --- | --- |\n"
    for name in SECTIONS[section]:
        field = Settings.model_fields[name]
        default = describe_default(field)
        shown = default if default == "unset" else f"`{default}`"
        description = (field.description or "").replace("|", "\\|")
        yield f"| `{variable(name)}` | {values_of(field)} | {shown} | {description} |\n"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
