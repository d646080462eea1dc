"""Docs are tested: every setting, command and preset is in them, and their Python runs."""

from __future__ import annotations

import asyncio
import re
import uuid
from pathlib import Path

import pytest
from typer.main import get_command

import connectors.opensearch
import connectors.pyserini
import sidecar
from docs.site.navigation import PARTS, START
from sidecar.cli.app import app
from sidecar.cli.reference import reference
from sidecar.cli.setting_sections import SECTIONS
from sidecar.cli.settings_page import settings_page
from sidecar.scoring.checkpoints.presets import CARRIED, PRESETS
from sidecar.serving import management
from sidecar.settings import Settings, variable

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "COMMANDS.md").read_text(encoding="utf-8")
PYTHON = (ROOT / "docs" / "PYTHON.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
CONNECTORS = (ROOT / "docs" / "CONNECTORS.md").read_text(encoding="utf-8")
MODELS = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


def python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_every_setting_is_documented_once_as_it_is():
    assert settings_page() == SETTINGS, "run `make docs`"
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(Settings.model_fields)
    assert [name for name in Settings.model_fields if SETTINGS.count(f"\n| `{variable(name)}` |") != 1] == []


@pytest.mark.parametrize(
    "row",
    [
        "| `SIDECAR_DTYPE` | auto, float32, bfloat16, float16 | `auto` | ",
        "| `SIDECAR_WINDOW` | 1 to 10000 | `100` | ",
        "| `SIDECAR_OPENSEARCH_TIMEOUT` | above 0, at most 600 | `30.0` | ",
        "| `SIDECAR_TRAIN_LORA_DROPOUT` | at least 0, below 1 | `0.05` | ",
        "| `SIDECAR_API_CONCURRENT` | at least 1 | `64` | ",
        "| `SIDECAR_FUSION` | rerank, linear, adaptive, rrf, geometric, harmonic | unset | ",
        "| `SIDECAR_RM3` | true, false | `false` | ",
        "| `SIDECAR_TITLE_FIELDS` | names with commas between | `title` | ",
        "| `SIDECAR_MODELS` | a table, or a JSON object | unset | ",
        "| `SIDECAR_RULES` | a list, or a JSON array | unset | ",
        "| `SIDECAR_TLS_CERT` | a path | unset | ",
        "| `SIDECAR_API_KEY` | text | unset | ",
    ],
)
def test_allowed_values_are_in_words(row):
    assert f"\n{row}" in SETTINGS


def test_every_endpoint_under_sidecar_is_documented():
    pages = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("SERVICE.md", "how-to/rollout.md"))
    paths = {f"/_sidecar{path.decode()}" for path in management._METHODS} | {"/_sidecar/models/NAME/reload"}
    assert {path for path in paths if path not in pages} == set()


def test_every_command_is_in_the_table_of_commands():
    commands = get_command(app).commands
    assert {name for name in commands if f"\n| `sidecar {name}" not in COMMANDS} == set()


@pytest.mark.parametrize("package", [sidecar, connectors.opensearch, connectors.pyserini])
def test_every_public_name_is_documented(package):
    """Each package has a section of its own, whose table has the names that it exports and no others."""
    (section,) = re.findall(rf"^### `{package.__name__}`\n(.*?)(?=^##)", PYTHON, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(package.__all__)


def test_every_option_is_documented_as_it_is():
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == reference(), "run `make docs`"
    commands = get_command(app).commands
    options = {(name, flag) for name in commands for one in commands[name].params for flag in one.opts}
    shown = set(re.findall(r"(?<=[` ])--[a-z0-9-]+(?=[`, ])", reference()))
    assert {(name, flag) for name, flag in options if flag.startswith("--") and flag not in shown} == set()


def test_every_preset_is_documented():
    assert {name for name in (*CARRIED, *PRESETS) if f"`{name}`" not in MODELS or f"`{name}`" not in README} == set()


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere():
    texts = {path: path.read_text(encoding="utf-8") for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]}
    for path, text in texts.items():
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
            aim = path.parent / target if target else path
            assert aim.exists(), f"{path.name}: {target}"
            assert not anchor or anchor in anchors(texts[aim.resolve()]), f"{path.name}: {target}#{anchor}"


def test_every_page_is_in_the_navigation_once():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    listed = [START, *(page for part in PARTS.values() for page in part)]
    found = [str(path.relative_to(ROOT).with_suffix("")) for path in pages]
    assert sorted(listed) == sorted(found), "give each new page a line in docs/site/navigation.py"


@pytest.mark.live
@pytest.mark.usefixtures("jvm")
def test_the_readmes_python_runs(monkeypatch, tmp_path, client, opensearch_url, capsys):
    from connectors.opensearch.admin.bulk import load
    from connectors.pyserini.build import build_index
    from sidecar.core.corpus import Document

    documents = [Document("flea", "", "The life cycle of a flea is long."), Document("dog", "", "How long a dog is.")]
    build_index(documents, tmp_path / "indexes" / "my-index")
    name = f"docs-{uuid.uuid4().hex[:8]}"
    load(client, name, documents)
    monkeypatch.chdir(tmp_path)
    lucene, opensearch = python_blocks(README)
    found: dict[str, object] = {}
    exec(lucene.replace("load_reranker()", 'load_reranker(device="cpu")'), found)
    assert capsys.readouterr().out.splitlines()[0].startswith("flea ")
    exec(opensearch.replace("http://localhost:9200", opensearch_url).replace('"docs"', f'"{name}"'), found)
    client.indices.delete(index=name)
    assert found["response"]["hits"]["hits"][0]["_id"] == "flea"


@pytest.mark.parametrize("page", ["CONNECTORS.md", "RELIABILITY.md", "SERVICE.md", "how-to/security.md"])
def test_the_tests_that_a_page_names_exist(page):
    named = set(re.findall(r"\b(test_\w+\.py)", (ROOT / "docs" / page).read_text(encoding="utf-8")))
    assert len(named) > 5
    assert {name for name in named if not list((ROOT / "tests").rglob(name))} == set()


def promises(section: str) -> list[str]:
    """The rows of a section's tables, without their heads, and the items of its lists."""
    rows = re.findall(r"^\|(?! ---)(?! \| \|).*\|$(?!\n\| ---)", section, re.MULTILINE)
    return rows + re.findall(r"^- .*(?:\n  .*)*", section, re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("SERVICE.md", "## What a response says"),
        ("SERVICE.md", "## Never worse than the first stage"),
        ("SERVICE.md", "## Operation"),
        ("how-to/security.md", "# Secure the service"),
    ],
)
def test_every_promise_of_the_service_names_its_test(page, title):
    """In the text, or in a comment that readers of the page don't see."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (section,) = re.findall(rf"^{title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    found = promises(section)
    assert len(found) > 4
    assert [promise for promise in found if not re.search(r"test_\w+\.py", promise)] == []


@pytest.mark.live
@pytest.mark.usefixtures("jvm")
def test_the_python_about_connectors_runs(monkeypatch, tmp_path):
    from connectors.pyserini.build import build_index
    from sidecar.core.corpus import Document

    documents = [Document("flea", "", "The life cycle of a flea is long."), Document("dog", "", "How long a dog is.")]
    build_index(documents, tmp_path / "indexes" / "my-index")
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(CONNECTORS)
    (lucene,) = (block for block in blocks if "RerankingSearcher(" in block and "PyseriniServer" not in block)
    (server,) = (block for block in blocks if "PyseriniServer" in block)
    exec(server, {})  # sends nothing
    found: dict[str, object] = {}
    exec(lucene, found)
    assert [hits[0].docid for hits in found["hits"].values()] == ["flea", "dog"]
    assert found["more"][0].docid == "flea"


@pytest.mark.live
def test_the_python_about_opensearch_runs(client, opensearch_url):
    from connectors.opensearch.admin.bulk import IndexOptions, load
    from sidecar.core.corpus import Document

    documents = [Document("flea", "", "The life cycle of a flea is long."), Document("dog", "", "How long a dog is.")]
    names = [f"{name}-{uuid.uuid4().hex[:8]}" for name in ("docs", "news")]
    for name in names:
        load(client, name, documents, options=IndexOptions(overwrite=True))
    found: dict[str, object] = {}
    for block in python_blocks(CONNECTORS):
        if "OpenSearch" in block:
            text = block.replace("http://localhost:9200", opensearch_url)
            exec(text.replace('"docs"', f'"{names[0]}"').replace('"news"', f'"{names[1]}"'), found)
    one = asyncio.run(found["search"]("life cycle of a flea"))
    two = found["both"]("how long is a dog")
    client.indices.delete(index=",".join(names))
    assert one["hits"]["hits"][0]["_id"] == "flea"
    assert [response["hits"]["hits"][0]["_id"] for response in two] == ["dog", "dog"]


def test_the_python_about_models_runs(capsys):
    found: dict[str, object] = {}
    for block in python_blocks(MODELS):
        exec(block, found)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["0", "1"]
    assert lines[0].endswith(" A subset of AI.")
    assert lines[1].endswith(" ('Salt', 'A pinch.')")
    assert lines[2:] == ["1 Learning"]
