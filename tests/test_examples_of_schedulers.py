"""The examples for Slurm and Kubernetes: bash runs their commands, with a `sidecar` that prints its words."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from sidecar.cli.app import app

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
SHARDS = 64


@pytest.fixture
def words(tmp_path):
    """Run a script, and return the words that `sidecar` was called with."""
    stub = tmp_path / "bin" / "sidecar"
    stub.parent.mkdir()
    stub.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    stub.chmod(0o755)
    for number in (2, 1):
        (tmp_path / f"run.trec.shard-{number}-of-{SHARDS}").touch()

    def call(*command: str, **variables: str) -> list[str]:
        path = f"{stub.parent}:{os.environ['PATH']}"
        done = subprocess.run(
            command, env={"PATH": path, **variables}, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    return call


def parsed(words: list[str]) -> dict[str, object]:
    """Read the words as the command does, which refuses options that it does not have."""
    name, *rest = words
    command = get_command(app).commands[name]
    return command.make_context(name, rest, resilient_parsing=False).params


def test_each_task_of_the_slurm_array_is_a_shard(words):
    script = EXAMPLES / "slurm-array.sh"
    assert f"#SBATCH --array=1-{SHARDS}%8\n" in script.read_text()
    found = parsed(words("bash", str(script), SLURM_ARRAY_TASK_ID="7", SLURM_ARRAY_TASK_COUNT=str(SHARDS)))
    assert (found["shard"], found["resume"], found["output"]) == (f"7/{SHARDS}", True, Path("run.trec"))


def test_the_slurm_script_stops_outside_of_slurm(words):
    with pytest.raises(subprocess.CalledProcessError):
        words("bash", str(EXAMPLES / "slurm-array.sh"))


def test_each_pod_of_the_kubernetes_job_is_a_shard(words):
    shards, merge = yaml.safe_load_all((EXAMPLES / "kubernetes-job.yaml").read_text())
    assert [(job["apiVersion"], job["kind"], job["metadata"]["labels"]["step"]) for job in (shards, merge)] == [
        ("batch/v1", "Job", "shards"),
        ("batch/v1", "Job", "merge"),
    ]
    spec = shards["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", SHARDS, 8)
    (one,), (other,) = (job["spec"]["template"]["spec"]["containers"] for job in (shards, merge))
    first, last = (
        parsed(words(*one["command"], *one["args"], JOB_COMPLETION_INDEX=str(index))) for index in (0, SHARDS - 1)
    )
    assert (first["shard"], last["shard"]) == (f"1/{SHARDS}", f"{SHARDS}/{SHARDS}")
    assert first["resume"] is True
    found = parsed(words(*other["command"], *other["args"]))
    assert found["shards"] == [Path(f"run.trec.shard-{number}-of-{SHARDS}") for number in (1, 2)]
    for job in (shards, merge):
        pod = job["spec"]["template"]["spec"]
        assert pod["restartPolicy"] == "Never"
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_table_of_times_is_what_its_code_prints(capsys):
    page = (EXAMPLES.parent / "SCALE.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(code, {})
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 4
    assert f"| --- |\n{printed}\n" in page
    # The rates are those of the measurements.
    performance = (EXAMPLES.parent / "PERFORMANCE.md").read_text(encoding="utf-8")
    for row in (
        "| 3B | 16 | 18 | 87 | 860 ",
        "| 8B | 25 | 32 | 195 | 1974 ",
        "| `ours` | **84** ",
        "| `ours` | **192** ",
    ):
        assert row in performance
