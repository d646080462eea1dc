"""The wheel and the source distribution hold what they should and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("sidecar/", "connectors/")
# What a package may hold beside Python: its types, Java's settings, weights with their papers, and the page.
KINDS = {".py", ".typed", ".properties", ".json", ".safetensors", ".md", ".html", ".css", ".js", ".svg", ".jinja"}
MEGABYTES = 45


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the names of the files of the wheel and of the source distribution, and the wheel's size in MB."""
    folder = tmp_path_factory.mktemp("dist")
    for kind in ("wheel", "sdist"):
        command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    (source,) = folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    with tarfile.open(source) as archive:
        in_source = {one.name.partition("/")[2] for one in archive if one.isfile()}
    return in_wheel, in_source, wheel.stat().st_size / 1e6


@pytest.fixture(scope="module")
def tracked():
    """Return the files that git knows or would add, so that a scratch file in a folder shows here too."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return {name for name in names if (ROOT / name).is_file()}


def test_the_wheel_holds_the_two_packages_and_its_papers(built, tracked):
    in_wheel, _, megabytes = built
    papers = {name.partition(".dist-info/")[2] for name in in_wheel if ".dist-info/" in name}
    assert papers == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE"}
    packaged = {name for name in in_wheel if ".dist-info/" not in name}
    assert packaged == {name for name in tracked if name.startswith(PACKAGES)}
    assert {name for name in packaged if Path(name).suffix not in KINDS and Path(name).name != "LICENSE"} == set()
    assert megabytes < MEGABYTES


def test_the_source_distribution_holds_the_checkout(built, tracked):
    _, in_source, _ = built
    assert in_source == tracked | {"PKG-INFO"}
