"""PyTerrier and Lucene indexes in one process: real PyTerrier, with Terrier's jars from Maven Central."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integrations, pytest.mark.live]

ROOT = Path(__file__).parents[2]
TERRIER = "5.11"
HELPER = "0.0.8"
JARS = (
    f"org.terrier:terrier-assemblies:{TERRIER}:jar:jar-with-dependencies",
    f"org.terrier:terrier-python-helper:{HELPER}:jar",
)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Run a script in a process of its own, which finds Terrier's jars in PyTerrier's folder."""
    if shutil.which("mvn") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Maven (mvn) to fetch Terrier with")
    home = tmp_path_factory.mktemp("pyterrier")
    for jar in JARS:
        copy = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={jar}", f"-DoutputDirectory={home}"]
        subprocess.run(copy, check=True, cwd=home)

    def call(script: str) -> subprocess.CompletedProcess[str]:
        variables = {"PYTERRIER_HOME": str(home), "TERRIER_VERSION": TERRIER, "TERRIER_HELPER_VERSION": HELPER}
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_the_pages_expression_over_a_terrier_index(python):
    page = (ROOT / "docs" / "INTEGRATIONS.md").read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "import pyterrier" in block]
    done = python(block + "print(list(reranked.search('how long does a flea live').docno))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['flea', 'dog']"
    assert "model alone" in done.stdout


def test_lucene_after_pyterrier_is_explained(python):
    done = python(
        "import pyterrier as pt\npt.java.init()\n"
        "from connectors.pyserini.jvm import start_jvm\n"
        "from sidecar.core.errors import JavaError\n"
        "try:\n    start_jvm()\nexcept JavaError as error:\n    print(error)"
    )
    assert "PyTerrier started the JVM of this process, without Anserini's jar" in done.stdout, done.stderr
    assert "Use one process for each" in done.stdout


def test_pyterrier_after_lucene_is_explained(python):
    done = python(
        "from connectors.pyserini.jvm import start_jvm\nstart_jvm()\n"
        "import pyterrier as pt\n"
        "from sidecar.core.errors import JavaError\n"
        "try:\n    pt.java.init()\nexcept JavaError as error:\n    print(error)"
    )
    assert "already runs, with Anserini's jar for Lucene, so PyTerrier can't add Terrier's" in done.stdout, done.stderr
    assert "Use one process for each" in done.stdout
