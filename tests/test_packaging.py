"""Requirements that an environment is told to install: on which platforms what, and from which versions on."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sidecar.core.errors import ConfigurationError
from sidecar.experiments.evaluate import parse_measures

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

LINUX = {"sys_platform": "linux", "platform_machine": "x86_64", "extra": ""}
ARM_LINUX = {**LINUX, "platform_machine": "aarch64"}
APPLE = {"sys_platform": "darwin", "platform_machine": "arm64", "extra": ""}
MUSL_ON_RISC = {**LINUX, "platform_machine": "riscv64"}


def pinned(file: str) -> list[Requirement]:
    lines = (ROOT / "requirements" / file).read_text(encoding="utf-8").splitlines()
    return [Requirement(line.removesuffix("\\").strip()) for line in lines if re.match(r"[a-z]", line)]


@pytest.mark.parametrize(
    ("name", "platforms"),
    [
        ("ir-measures", {"linux": True, "arm linux": False, "apple": True, "risc": True}),
        ("openvino", {"linux": True, "arm linux": True, "apple": True, "risc": False}),
        ("torch", {"linux": True, "arm linux": True, "apple": True, "risc": True}),
    ],
)
@pytest.mark.parametrize("source", ["pyproject.toml", "serve.txt", "run.txt"])
def test_what_has_no_wheel_on_a_platform_is_not_asked_for_there(name, platforms, source):
    asked = [Requirement(text) for text in PROJECT["dependencies"]] if source == "pyproject.toml" else pinned(source)
    environments = {"linux": LINUX, "arm linux": ARM_LINUX, "apple": APPLE, "risc": MUSL_ON_RISC}
    [found] = [one for one in asked if one.name == name]
    assert {
        label: found.marker is None or found.marker.evaluate(environment) for label, environment in environments.items()
    } == platforms


def test_what_evaluation_needs_follows_the_same_marker():
    for file in ("serve.txt", "run.txt", "develop.txt"):
        [found] = [one for one in pinned(file) if one.name == "pytrec-eval-terrier"]
        assert found.marker is not None
        assert not found.marker.evaluate(ARM_LINUX)


def test_measures_without_their_library_are_an_error_that_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(ConfigurationError, match=r"ir-measures is not installed.*\n.*rerank-sidecar\[evaluation\]"):
        parse_measures("nDCG@10")


def test_what_does_not_measure_does_not_load_it():
    code = (
        "import sys; sys.modules['ir_measures'] = None\n"
        "from typer.main import get_command; from sidecar.cli.app import app; dict(get_command(app).commands)\n"
        "import sidecar.experiments.evaluate, sidecar.experiments.qrels, sidecar.training.preparing\n"
        "import sidecar.serving.run, sidecar.training.development"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_every_python_that_is_named_is_one_that_tests_run_on():
    named = {text.rpartition(" ")[2] for text in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", text)}
    tested = re.search(r"\| Python \| ([0-9., ]+) \|", (ROOT / "docs" / "INSTALL.md").read_text(encoding="utf-8"))
    assert tested is not None
    assert named == set(tested[1].split(", "))
