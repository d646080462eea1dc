"""`sidecar doctor` finds what is there, and says of what is missing how to mend it."""

from __future__ import annotations

import json
import shutil

import pytest

from sidecar.cli.doctor_checks import check_model
from sidecar.cli.doctor_command import Finding, can_rerank
from sidecar.cli.main import main
from sidecar.core.errors import ModelError
from sidecar.settings import Settings


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
    client.index(index="doctor", id="1", body={"title": "t", "body": {"html": "x"}}, refresh=True)
    base, adapter = tiny_llama
    asked = ("--model", adapter, "--device", "cpu", "--url", opensearch_url, "--index", "doctor")
    lacking, without = report(*asked)
    status, found = report(*asked, "--text-fields", "body.html")
    wrong, unknown = report(*asked, "--text-fields", "txt")
    client.indices.delete(index="doctor")
    assert (wrong, unknown["index"]["state"]) == (1, "missing")
    assert (lacking, without["index"]["state"]) == (0, "to choose")  # searches read the fields of the mapping
    assert "Its fields are body.html, title: set --text-fields or SIDECAR_TEXT_FIELDS." in without["index"]["remedy"]
    assert found["index"]["found"] == "doctor, 1 documents; the model reads title, body.html"
    assert (status, {finding["state"] for finding in found.values()}) == (0, {"fine"})
    assert found["device"]["found"].startswith("cpu (")
    size = sum(path.stat().st_size for path in base.glob("*.safetensors")) / 1e9
    assert found["model"]["found"] == f"{adapter} on {base} in {base} ({size:.2g} GB)"
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


@pytest.mark.live
@pytest.mark.usefixtures("jvm")
def test_a_lucene_index_is_read_for_real(report, tmp_path, tiny_llama):
    from connectors.pyserini.build import build_index
    from sidecar.core.corpus import Document

    build_index([Document("d1", "Flea", "lives long")], tmp_path / "lucene")
    asked = ("--model", tiny_llama[1], "--device", "cpu", "--index", "lucene")
    status, found = report(*asked)
    assert (status, found["index"]["found"]) == (0, "lucene, 1 documents; one reads “Flea lives long…”")
    status, found = report(*asked, "--text-fields", "abstract", "--title-fields", "headline")
    assert (status, found["index"]["state"]) == (1, "missing")
    assert "The documents have text in title, text: set --text-fields" in found["index"]["remedy"]
    status, found = report(*asked[:-1], "nowhere")
    assert (status, found["index"]["found"]) == (
        1,
        "There is no directory 'nowhere', and no prebuilt index of Pyserini's has that name.",
    )


def test_a_shard_that_is_missing_is_named(tmp_path, tiny_bert):
    model = tmp_path / "model"
    shutil.copytree(tiny_bert, model)
    (model / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}')
    with pytest.raises(ModelError, match="lacks model-2.safetensors"):
        check_model(Settings(model=str(model)))


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("fine", "fine", "fine", "unasked", "unasked"), True),
        (("fine", "to fetch", "fine", "unasked", "fine"), True),
        (("fine", "fine", "missing", "fine", "fine"), True),
        (("fine", "fine", "fine", "unasked", "missing"), False),
        (("fine", "fine", "missing", "unasked", "unasked"), False),
        (("fine", "fine", "fine", "missing", "unasked"), False),
        (("fine", "missing", "fine", "fine", "unasked"), False),
        (("missing", "fine", "fine", "fine", "unasked"), False),
    ],
)
def test_the_main_job_needs_a_model_a_device_and_an_engine(states, expected):
    names = ("device", "model", "Lucene", "OpenSearch", "index")
    assert can_rerank([Finding(name, state, "") for name, state in zip(names, states, strict=True)]) is expected
