"""The manifests that the Helm chart makes: safe to run, with settings and paths that the service has."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from sidecar.settings import Settings, load_settings
from sidecar.version import __version__

ROOT = Path(__file__).parents[2]
CHART = ROOT / "docker" / "helm" / "rerank-sidecar"
EXAMPLES = sorted((ROOT / "docs" / "examples" / "kubernetes").glob("*.yaml"))


def manifests(path):
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


def pods(path):
    return [found["spec"]["template"] for found in manifests(path) if found["kind"] in {"Deployment", "StatefulSet"}]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("version", ["1.25", "1.31", "1.37"])
def test_kubernetes_accepts_each_manifest(path, version):
    kinds = set()
    for found in manifests(path):
        kinds.add(found["kind"])
        if found["apiVersion"] != "monitoring.coreos.com/v1":  # of the Prometheus operator
            kubernetes_validate.validate(found, version, strict=True)
    assert kinds >= {"Deployment", "Service", "PodDisruptionBudget"}


def test_chart_and_package_have_one_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__


def test_there_is_an_example_of_each_kind():
    assert [path.stem for path in EXAMPLES] == ["cpu", "gpu", "scorers"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_variable_is_a_setting(path):
    for pod in pods(path):
        (container,) = pod["spec"]["containers"]
        for variable in container["env"]:
            assert isinstance(variable["value"], str)
            prefix, _, name = variable["name"].partition("_")
            assert prefix == "OTEL" or (prefix == "SIDECAR" and name.lower() in Settings.model_fields), variable


def test_an_example_writes_traces_of_services_and_scorers():
    for pod in pods(EXAMPLES[2]):
        variables = {one["name"]: one["value"] for one in pod["spec"]["containers"][0]["env"]}
        assert variables["SIDECAR_TRACES"] == "true"
        assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://otel-collector:4318"


def test_numbers_and_lists_are_written_as_the_settings_read_them(monkeypatch):
    (service,) = [found for found in manifests(EXAMPLES[2]) if found["kind"] == "Deployment"]
    variables = {one["name"]: one["value"] for one in service["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert (variables["SIDECAR_MAX_HELD_BYTES"], variables["SIDECAR_TEXT_FIELDS"]) == ("268435456", "text,body.text")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.max_held_bytes, settings.text_fields) == (268_435_456, ("text", "body.text"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_pod_runs_with_the_least_rights(path):
    for pod in pods(path):
        spec, (container,) = pod["spec"], pod["spec"]["containers"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_pod_is_given_the_time_that_the_service_takes_to_stop(path):
    for pod in pods(path):
        variables = {one["name"]: one["value"] for one in pod["spec"]["containers"][0]["env"]}
        assert pod["spec"]["terminationGracePeriodSeconds"] > float(variables["SIDECAR_DRAIN_SECONDS"])


def test_the_service_names_each_scorer():
    found = {one["kind"]: one for one in manifests(EXAMPLES[2]) if one["kind"] in {"Deployment", "StatefulSet"}}
    scorers = found["StatefulSet"]
    name, domain = scorers["metadata"]["name"], scorers["spec"]["serviceName"]
    hosts = [f"http://{name}-{number}.{domain}:9281" for number in range(scorers["spec"]["replicas"])]
    variables = found["Deployment"]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "SIDECAR_MODEL", "value": ",".join(hosts)} in variables
    services = {one["metadata"]["name"]: one["spec"] for one in manifests(EXAMPLES[2]) if one["kind"] == "Service"}
    assert services[domain]["clusterIP"] == "None"


def test_probes_ask_for_paths_of_the_monitoring_page():
    told = (ROOT / "docs" / "how-to" / "monitoring.md").read_text()
    for path in EXAMPLES:
        for pod in pods(path):
            (container,) = pod["spec"]["containers"]
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert f"`{container[probe]['httpGet']['path']}`" in told
