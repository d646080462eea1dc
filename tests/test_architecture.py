"""Rules of the code that a machine can check: who may import whom, and what `--help` must not load."""

from __future__ import annotations

import ast
import functools
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Package → what it may import of ours; a module belongs to the longest name here that it begins with. No name may
# reach itself by these arrows. Order is reading order; ARCHITECTURE.md shows the same table.
OPENSEARCH = "connectors.opensearch"
ALLOWED = {
    "sidecar": {"sidecar.namesakes", "sidecar.version"},  # the rest of it is imported on first use
    "sidecar.documents": {"sidecar.core"},
    "sidecar.__main__": {"sidecar.cli"},
    "sidecar.namesakes": set(),
    "sidecar.version": set(),
    "sidecar.core": set(),
    "sidecar.demo_corpus": {"sidecar.core"},
    "sidecar.settings": {"sidecar.core"},
    "sidecar.opensearch_account": {"sidecar.settings", OPENSEARCH},
    "sidecar.scoring.hardware": set(),
    "sidecar.scoring.score_mapping": set(),
    "sidecar.scoring.checkpoints": {"sidecar.core", "sidecar.scoring.hardware", "sidecar.scoring.score_mapping"},
    "sidecar.scoring.prompt": {"sidecar.core", "sidecar.scoring.checkpoints"},
    "sidecar.scoring.engines": {
        "sidecar.core",
        "sidecar.scoring.checkpoints",
        "sidecar.scoring.hardware",
        "sidecar.scoring.prompt",
    },
    "sidecar.scoring.remote": {
        "sidecar.core",
        "sidecar.scoring.checkpoints",
        "sidecar.scoring.score_mapping",
        "sidecar.version",  # requests name it
    },
    "sidecar.scoring": {
        "sidecar.core",
        "sidecar.scoring.checkpoints",
        "sidecar.scoring.engines",
        "sidecar.scoring.hardware",
        "sidecar.scoring.prompt",
        "sidecar.scoring.remote",
        "sidecar.scoring.score_mapping",
    },
    "sidecar.listwise": {"sidecar.core", "sidecar.scoring", "sidecar.scoring.checkpoints", "sidecar.scoring.remote"},
    "sidecar.reranker": {"sidecar.core", "sidecar.listwise", "sidecar.scoring", "sidecar.scoring.checkpoints"},
    "sidecar.experiments": {"sidecar.core", "sidecar.version"},  # a manifest names the version
    "sidecar.report": {"sidecar.core", "sidecar.experiments", "sidecar.version"},  # a page names the version
    # Each module is an adapter to one framework; which one decides its imports.
    "sidecar.integrations": {"sidecar.core", "sidecar.experiments", "sidecar.reranker", "sidecar.scoring.checkpoints"},
    "sidecar.agents": {"sidecar.core", "sidecar.reranker", "sidecar.version"},
    "sidecar.training": {
        "sidecar.core",
        "sidecar.experiments",
        "sidecar.scoring",
        "sidecar.scoring.checkpoints",
        "sidecar.scoring.engines",
        "sidecar.scoring.prompt",
        "sidecar.settings",
    },
    "sidecar.serving.http": {"sidecar.core"},
    "sidecar.serving.scorer": {
        "sidecar.core",
        "sidecar.listwise",
        "sidecar.reranker",
        "sidecar.scoring",
        "sidecar.scoring.hardware",
        "sidecar.scoring.remote",
        "sidecar.scoring.score_mapping",
    },
    # The proxy drives OpenSearch's search flow itself; lucene_api and ui.lucene_engine drive Lucene's connector.
    "sidecar.serving.proxy": {
        "sidecar.core",
        "sidecar.serving.http",
        "sidecar.serving.scorer",
        "connectors.opensearch.errors",
        "connectors.opensearch.flow",
        "connectors.opensearch.raw_json",
        "connectors.opensearch.respond",
        "connectors.opensearch.rewrite",
    },
    "sidecar.serving.rerank_api": {"sidecar.core", "sidecar.serving.http", "sidecar.serving.scorer", "sidecar.version"},
    "sidecar.serving.ui": {
        "sidecar.core",
        "sidecar.scoring.score_mapping",
        "sidecar.serving.http",
        "sidecar.serving.proxy",
        "sidecar.serving.rerank_api",
        "sidecar.serving.scorer",
        "connectors.opensearch.flow",
        "connectors.opensearch.raw_json",
        "connectors.opensearch.respond",
        "connectors.opensearch.rewrite",
        "connectors.pyserini",
    },
    "sidecar.serving": {
        "sidecar.core",
        "sidecar.opensearch_account",
        "sidecar.serving.http",
        "sidecar.serving.proxy",
        "sidecar.serving.rerank_api",
        "sidecar.serving.scorer",
        "sidecar.serving.ui",
        "sidecar.settings",
        "sidecar.version",
        OPENSEARCH,
        "connectors.pyserini",
    },
    # It measures scorers and nothing behind them, so of ours it knows what makes and feeds one.
    "sidecar.bench": {
        "sidecar.core",
        "sidecar.experiments",
        "sidecar.scoring",
        "sidecar.scoring.checkpoints",
        "sidecar.scoring.engines",
        "sidecar.scoring.hardware",
        "sidecar.scoring.prompt",
    },
    "sidecar.cli": {"sidecar", "connectors"},
    "connectors": set(),
    "connectors.opensearch.raw_json": {"sidecar.core"},
    "connectors.opensearch.errors": {"sidecar.core"},
    "connectors.opensearch.rewrite": {"sidecar.core", "connectors.opensearch.raw_json"},
    "connectors.opensearch.respond": {
        "sidecar.core",
        "connectors.opensearch.raw_json",
        "connectors.opensearch.rewrite",
    },
    "connectors.opensearch.flow": {
        "sidecar.core",
        "connectors.opensearch.errors",
        "connectors.opensearch.raw_json",
        "connectors.opensearch.respond",
        "connectors.opensearch.rewrite",
    },
    OPENSEARCH: {
        "sidecar.core",
        "connectors.opensearch.errors",
        "connectors.opensearch.flow",
        "connectors.opensearch.respond",
        "connectors.opensearch.rewrite",
    },
    "connectors.opensearch.admin": {
        "sidecar.core",
        OPENSEARCH,
        "connectors.opensearch.flow",
        "connectors.opensearch.rewrite",
    },
    "connectors.pyserini": {"sidecar.core"},
}
# The composition root alone may import everything.
ROOT_PACKAGE = "sidecar.cli"
ENTRY_POINTS = {"sidecar.__main__", "sidecar.documents", "sidecar.namesakes", "sidecar.version"}

# Heavy dependency → the only packages that may import it; torch is also spoken by the adapters to what speaks torch.
MODELS = ("sidecar.scoring", "sidecar.training", "sidecar.listwise.local")
COMPETITORS = "sidecar.bench.competitors"
OWNERS = {
    "torch": (*MODELS, COMPETITORS, "sidecar.bench.measures", "sidecar.bench.shapes"),
    "openvino": ("sidecar.scoring", COMPETITORS),
    "transformers": (*MODELS, COMPETITORS, "sidecar.bench.shapes"),
    "sentence_transformers": COMPETITORS,
    "rerankers": COMPETITORS,
    "onnxruntime": COMPETITORS,
    "matplotlib": ("sidecar.bench.plot", "sidecar.training.curve"),
    "peft": MODELS,
    "jnius": "connectors.pyserini",
    "pyserini": "connectors.pyserini",
    "opensearchpy": "connectors.opensearch",
    "botocore": "connectors.opensearch",
    "urllib3": "connectors",
    "ir_measures": "sidecar.experiments",
    "jinja2": "sidecar.report",
    "markupsafe": "sidecar.report",
    "pandas": "sidecar.integrations.pyterrier",
    "pyterrier": "sidecar.integrations.pyterrier",
    "langchain_core": "sidecar.integrations.langchain",
    "llama_index": "sidecar.integrations.llamaindex",
    "haystack": "sidecar.integrations.haystack",
    "mcp": "sidecar.agents.server",
    "ray": "sidecar.experiments.ray_map",
    "pyarrow": "sidecar.experiments.ray_map",
    "typer": "sidecar.cli",
    "fastapi": "sidecar.serving",
    "starlette": "sidecar.serving",
    "uvicorn": "sidecar.serving",
    "aiohttp": ("sidecar.serving", "sidecar.scoring.remote"),
    "prometheus_client": "sidecar.serving",
    "limits": "sidecar.serving.scorer",
    "opentelemetry": "sidecar.serving.otel",
}


def modules() -> dict[str, Path]:
    found = {}
    for top in ("sidecar", "connectors"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def package(module: str) -> str:
    """Return the row of the table that a module belongs to."""
    return max((name for name in ALLOWED if module == name or module.startswith(name + ".")), key=len)


@functools.cache
def imported(path: Path) -> frozenset[str]:
    names: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # What is imported for types alone is not loaded, so it makes nobody an owner.
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in MODULES else node.module
                for alias in node.names
            }
    return frozenset(names)


@functools.cache
def imported_of_ours(module: str) -> frozenset[str]:
    return frozenset(name for name in imported(MODULES[module]) if name.split(".")[0] in {"sidecar", "connectors"})


def circle(arrows: dict[str, set[str]]) -> tuple[str, ...]:
    """Return names that lead back to their first by the arrows; empty where there are none."""
    try:
        graphlib.TopologicalSorter(arrows).prepare()
    except graphlib.CycleError as found:
        return tuple(found.args[1])
    return ()


def test_every_module_belongs_to_a_package():
    assert {name for name in MODULES if name.startswith("sidecar.") and package(name) == "sidecar"} == set()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_what_its_package_may(module):
    own = package(module)
    if own == ROOT_PACKAGE:
        return
    stray = {name for name in imported_of_ours(module) if package(name) not in {own, *ALLOWED[own]}}
    assert stray == set(), f"{module} may import {sorted(ALLOWED[own])}"


def test_no_package_leads_back_to_itself():
    assert circle({name: allowed for name, allowed in ALLOWED.items() if name != ROOT_PACKAGE}) == ()


def test_no_module_leads_back_to_itself():
    assert circle({module: set(imported_of_ours(module)) & MODULES.keys() - {module} for module in MODULES}) == ()


def test_architecture_md_shows_this_table():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if re.match(r"\| `(sidecar|connectors)[.`]", line)]
    shown = {name.strip("|` "): set(re.findall(r"`([\w.]+)`", imports)) for name, _, imports in rows}
    assert shown.pop(ROOT_PACKAGE) == set()
    assert shown == {name: ALLOWED[name] for name in shown}
    assert ALLOWED.keys() - shown.keys() == {ROOT_PACKAGE, "connectors", "sidecar", *ENTRY_POINTS}


def test_every_arrow_is_used():
    used = {(package(module), package(name)) for module in MODULES for name in imported_of_ours(module)}
    arrows = {(name, other) for name, allowed in ALLOWED.items() if name != ROOT_PACKAGE for other in allowed}
    assert arrows - used == set()


@pytest.mark.parametrize("module", MODULES)
def test_each_heavy_dependency_has_one_owner(module):
    heavy = {name.split(".")[0] for name in imported(MODULES[module])} & OWNERS.keys()
    assert {name for name in heavy if not module.startswith(OWNERS[name])} == set()


@pytest.mark.parametrize(
    "command", ["--help", "search --help", "rerank --help", "bench --help", "train --help", "settings"]
)
def test_help_loads_neither_torch_nor_the_jvm(command):
    probe = (
        "import sys\n"
        "from sidecar.cli.main import main\n"
        "try:\n"
        f"    main({command.split()!r})\n"
        "except SystemExit:\n"
        "    pass\n"
        f"print(sorted({set(OWNERS)!r} & sys.modules.keys()), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr.strip() == "['typer']"
    assert "Usage" in done.stdout or "SIDECAR_MODEL" in done.stdout


def test_files_stay_short_enough_to_read():
    long = {name: lines for name, path in MODULES.items() if (lines := len(path.read_text().splitlines())) > 300}
    assert long == {}


TESTS = sorted((ROOT / "tests").rglob("*.py"))


def test_what_tests_share_lies_in_their_support():
    shared = {path.relative_to(ROOT / "tests") for path in TESTS if not path.name.startswith("test_")}
    assert {str(path) for path in shared if path.parts[0] != "support" and path.name != "conftest.py"} == set()


def test_no_test_imports_from_another():
    found = set()
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            found |= {(path.name, name) for name in names if re.match(r"tests\.(.*\.)?(test_|conftest\b)", name)}
    assert found == set()
