"""The compose files: valid by the Compose Specification's schema, and closed to what nobody asked for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sidecar.settings import Settings, variable
from tests.support.docker.dockerfile import ROOT, read

FILES = [ROOT / "docker" / name for name in ("compose.yaml", "compose.gpu.yaml")]
BASE, GPU = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in FILES)
OURS = ("sidecar", "sample")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_is_what_the_specification_takes(path):
    check = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [check, "--builtin-schema", "vendor.compose-spec", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("compose", [BASE, GPU], ids=["base", "gpu"])
def test_ports_are_published_on_loopback_alone(compose):
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_the_services_ports_are_those_of_the_settings():
    inside = {port.rpartition(":")[2] for port in BASE["services"]["sidecar"]["ports"]}
    assert inside == {str(Settings.model_fields[name].default) for name in ("port", "api_port")}


@pytest.mark.parametrize("name", OURS)
def test_ours_run_with_as_little_as_they_need(name):
    service = BASE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "user", "pid"} & service.keys()
    assert service["deploy"]["resources"]["limits"].keys() == {"memory", "pids"}


def test_all_wait_for_an_opensearch_that_answers():
    assert "healthcheck" in BASE["services"]["opensearch"]
    for name in OURS:
        assert BASE["services"][name]["depends_on"] == {"opensearch": {"condition": "service_healthy"}}


def test_a_request_under_way_ends_before_its_container_does():
    grace = int(BASE["services"]["sidecar"]["stop_grace_period"].removesuffix("s"))
    assert grace > Settings.model_fields["drain_seconds"].default


@pytest.mark.parametrize("compose", [BASE, GPU], ids=["base", "gpu"])
def test_every_setting_in_it_is_one(compose):
    known = {variable(name) for name in Settings.model_fields}
    named = {key for service in compose["services"].values() for key in service.get("environment", {})}
    assert {key for key in named if key.startswith("SIDECAR_")} - known == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_is_explained_above(path):
    text = path.read_text(encoding="utf-8")
    comment = "".join(re.findall(r"^#.*\n", text, re.MULTILINE))
    assert {name for name in re.findall(r"\$\{(\w+)", text) if name not in comment} == set()


@pytest.mark.parametrize(("compose", "target"), [(BASE, "cpu"), (GPU, "cuda")], ids=["base", "gpu"])
def test_one_image_is_built_and_both_of_ours_run_it(compose, target):
    assert compose["services"]["sidecar"]["build"]["target"] == target
    assert target in read()[1]
    assert {compose["services"][name]["image"] for name in OURS} == {f"rerank-sidecar:{target}"}
    assert (ROOT / "docker" / BASE["services"]["sidecar"]["build"]["context"]).resolve() == ROOT


def test_the_sample_is_there_and_its_passages_have_names_of_their_own():
    lines = (ROOT / "docker" / "sample" / "passages.jsonl").read_text(encoding="utf-8").splitlines()
    passages = [json.loads(line) for line in lines]
    assert {tuple(passage) for passage in passages} == {("_id", "title", "text")}
    assert len({passage["_id"] for passage in passages}) == len(passages) == 40
