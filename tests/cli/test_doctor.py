"""`sidecar doctor` finds what is there, and says of what is missing how to mend it."""

from __future__ import annotations

import json

import pytest

from sidecar.cli.doctor_command import Finding, can_rerank
from sidecar.cli.main import main


@pytest.fixture
def report(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[int, dict[str, dict[str, str]]]:
        with pytest.raises(SystemExit) as end:
            main(["doctor", "--json", *map(str, words)])
        found = json.loads(capsys.readouterr().out)
        assert found["can_rerank"] == (end.value.code == 0)
        return end.value.code, {finding["name"]: finding for finding in found["findings"]}

    return run


@pytest.mark.live
@pytest.mark.usefixtures("jvm")
def test_all_that_is_there_is_found(report, client, opensearch_url, tiny_llama):
    client.indices.create(index="doctor", ignore=400)
    base, adapter = tiny_llama
    status, found = report("--model", adapter, "--device", "cpu", "--url", opensearch_url, "--index", "doctor")
    client.indices.delete(index="doctor")
    assert (status, {finding["state"] for finding in found.values()}) == (0, {"fine"})
    assert found["device"]["found"].startswith("cpu (")
    assert found["model"]["found"] == f"{adapter} on {base} in {base}"
    assert " on Java 2" in found["Lucene"]["found"]
    assert found["OpenSearch"]["found"].startswith(f"version {client.info()['version']['number']}; plugins: ")


@pytest.mark.live
@pytest.mark.usefixtures("jvm")
def test_what_is_missing_is_named_with_its_remedy(report, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    status, found = report("--model", "dear-3b-ranknet-lora", "--device", "cuda:9", "--url", "http://127.0.0.1:9")
    assert status == 1
    assert {name for name, finding in found.items() if finding["state"] == "missing"} == {
        "device",
        "model",
        "OpenSearch",
    }
    assert " GPUs." in found["device"]["found"]
    assert "is not in the local hub cache" in found["model"]["found"]
    assert "give its directory" in found["model"]["remedy"]
    assert "Is it running" in found["OpenSearch"]["remedy"]


@pytest.mark.live
def test_an_index_that_is_not_there_is_missing(report, opensearch_url, tiny_llama):
    status, found = report("--model", tiny_llama[1], "--url", opensearch_url, "--index", "nowhere")
    assert (status, found["OpenSearch"]["state"]) == (1, "missing")
    assert "no such index [nowhere]" in found["OpenSearch"]["found"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("fine", "fine", "fine", "unasked"), True),
        (("fine", "fine", "missing", "fine"), True),
        (("fine", "fine", "missing", "unasked"), False),
        (("fine", "fine", "fine", "missing"), False),
        (("fine", "missing", "fine", "fine"), False),
        (("missing", "fine", "fine", "fine"), False),
    ],
)
def test_the_main_job_needs_a_model_a_device_and_an_engine(states, expected):
    names = ("device", "model", "Lucene", "OpenSearch")
    assert can_rerank([Finding(name, state, "") for name, state in zip(names, states, strict=True)]) is expected
