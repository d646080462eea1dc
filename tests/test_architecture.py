"""The house's rules that a machine can check: who may import whom, and what `--help` must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Room → the rooms of ours it may import; a room is the longest prefix that fits. Order is reading order.
ALLOWED = {
    "sidecar": {"sidecar.namesakes", "sidecar.version", "sidecar.reranker"},
    "sidecar.__main__": {"sidecar.cli"},
    "sidecar.namesakes": set(),
    "sidecar.version": set(),
    "sidecar.core": set(),
    "sidecar.demo_corpus": {"sidecar.core"},
    "sidecar.settings": {"sidecar.core"},
    "sidecar.opensearch_account": {"sidecar.settings", "connectors.opensearch"},
    "sidecar.scoring": {"sidecar.core"},
    "sidecar.reranker": {"sidecar.core", "sidecar.scoring"},
    "sidecar.experiments": {"sidecar.core", "sidecar.version"},  # a manifest names the version
    "sidecar.training": {"sidecar.core", "sidecar.experiments", "sidecar.scoring", "sidecar.settings"},
    # The proxy drives OpenSearch's search flow itself; Lucene's connector is driven in lucene_api alone.
    "sidecar.serving": {
        "sidecar.core",
        "sidecar.opensearch_account",
        "sidecar.reranker",
        "sidecar.scoring",
        "sidecar.settings",
        "sidecar.version",
        "connectors.opensearch",
        "connectors.pyserini",
    },
    # It measures scorers and nothing behind them, so of ours it knows what makes and feeds one.
    "sidecar.bench": {"sidecar.core", "sidecar.experiments", "sidecar.scoring"},
    "sidecar.cli": {"sidecar", "connectors"},
    "connectors": set(),
    "connectors.opensearch": {"sidecar.core"},
    "connectors.pyserini": {"sidecar.core"},
}

# Heavy dependency → the only rooms that may import it; torch is also spoken by the adapters to what speaks torch.
MODELS = ("sidecar.scoring", "sidecar.training")
COMPETITORS = "sidecar.bench.competitors"
OWNERS = {
    "torch": (*MODELS, COMPETITORS, "sidecar.bench.measures", "sidecar.bench.shapes"),
    "openvino": ("sidecar.scoring", COMPETITORS),
    "transformers": (*MODELS, COMPETITORS, "sidecar.bench.shapes"),
    "sentence_transformers": COMPETITORS,
    "rerankers": COMPETITORS,
    "onnxruntime": COMPETITORS,
    "matplotlib": "sidecar.bench.plot",
    "peft": MODELS,
    "jnius": "connectors.pyserini",
    "pyserini": "connectors.pyserini",
    "opensearchpy": "connectors.opensearch",
    "botocore": "connectors.opensearch",
    "urllib3": "connectors",
    "ir_measures": "sidecar.experiments",
    "typer": "sidecar.cli",
    "fastapi": "sidecar.serving",
    "starlette": "sidecar.serving",
    "uvicorn": "sidecar.serving",
    "aiohttp": "sidecar.serving",
    "prometheus_client": "sidecar.serving",
}


def modules() -> dict[str, Path]:
    found = {}
    for top in ("sidecar", "connectors"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def room(module: str) -> str:
    return max((name for name in ALLOWED if module == name or module.startswith(name + ".")), key=len)


def imported(path: Path) -> set[str]:
    names = set()
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
    return names


def test_every_module_has_a_room():
    assert {name for name in MODULES if name.startswith("sidecar.") and room(name) == "sidecar"} == set()


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module):
    own = room(module)
    foreign = {name for name in imported(MODULES[module]) if name.split(".")[0] in {"sidecar", "connectors"}}
    allowed = {own, *ALLOWED[own]}
    stray = {
        name for name in foreign if room(name) not in allowed and not any(name.startswith(f"{a}.") for a in allowed)
    }
    assert stray == set(), f"{module} may import {sorted(allowed)}"


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
