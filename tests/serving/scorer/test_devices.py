"""Which device scores which model, from the settings: applied as it is written, or refused."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from sidecar.core.errors import ConfigurationError
from sidecar.core.model_spec import ModelSpec
from sidecar.scoring import visible_devices
from sidecar.serving.build import declared_models
from sidecar.serving.build_scorers import build_scorers
from sidecar.serving.scorer.devices import check_devices, place, thread_shares
from sidecar.settings import Settings, load_settings

LOCAL = {name: ModelSpec(model=name) for name in ("big", "small")}


def links(**options):
    settings = Settings(**options)
    return asyncio.run(build_scorers(settings, declared_models(settings), ("never", "started"))).links


def processes(**options):
    [pool] = links(**options)
    return [member.process for member in pool.members]


def test_without_devices_one_process_scores_on_the_device():
    [client] = links(device="cuda:1")
    assert [(one.device, one.up) for one in client.processes] == [("cuda:1", False)]
    assert client.models["e5-small"].device == "cuda:1"


def test_each_device_has_a_process_with_every_model():
    found = processes(devices="cuda:0, cuda:1", models={"other": "minilm"})
    assert [one.device for one in found] == ["cuda:0", "cuda:1"]
    assert [{name: spec.device for name, spec in one.models.items()} for one in found] == [
        {"e5-small": "cuda:0", "other": "cuda:0"},
        {"e5-small": "cuda:1", "other": "cuda:1"},
    ]


def test_a_model_is_placed_by_name():
    models = {"devices": "cuda:0,cuda:1,cpu", "models": {"other": "minilm"}}
    found = processes(**models, model_devices={"e5-small": "cuda:0,cuda:1", "other": "cpu"})
    assert [sorted(one.models) for one in found] == [["e5-small"], ["e5-small"], ["other"]]


def test_the_variable_is_a_list_with_commas(monkeypatch):
    monkeypatch.setenv("SIDECAR_DEVICES", "cpu,cpu")
    monkeypatch.setenv("SIDECAR_MODEL_DEVICES", '{"e5-small": "cpu"}')
    assert (load_settings().devices, load_settings().model_devices) == (("cpu", "cpu"), {"e5-small": "cpu"})


def test_remote_models_stand_beside_the_devices():
    pool, remote = links(devices="cpu,cpu", models={"far": "http://127.0.0.1:9"})
    assert (list(pool.models), list(remote.models)) == (["e5-small"], ["far"])


@pytest.mark.parametrize(
    ("devices", "device"),
    [
        (("cuda:0", "cuda:1"), "auto"),
        (("cuda:0", "cuda:1"), "cuda"),
        (("cuda:1", "cuda:1"), "cuda:1"),
        (("cpu", "cpu"), "cpu"),
        (("cuda",), "cuda"),
    ],
)
def test_devices_that_agree_are_accepted(devices, device):
    check_devices(devices, device)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": "cpu,cpu", "device": "cuda"}, "device is cuda, but devices is cpu,cpu"),
        ({"devices": "cuda:0,cuda:1", "device": "cuda:0"}, "device is cuda:0, but devices is cuda:0,cuda:1"),
        ({"devices": "gpu0"}, "'gpu0' is no device"),
        ({"devices": "cuda:-1"}, "'cuda:-1' is no device"),
        ({"devices": "auto,cpu"}, "'auto' is no device"),
        ({"devices": "cuda,cuda"}, "cuda does not say which GPU"),
        ({"devices": "cuda:0,cpu"}, "e5-small would be scored on cpu and cuda, whose scores differ"),
        ({"model_devices": {"e5-small": "cpu"}}, "model_devices is set, but devices is not"),
        ({"devices": "cpu,cpu", "model": "http://127.0.0.1:9"}, "every declared model is scored by a server"),
        ({"devices": "cpu,cpu", "model_devices": {"nobody": "cpu"}}, "nobody is not declared"),
        ({"devices": "cpu,cpu", "model_devices": {"e5-small": "cuda:0"}}, "placed on 'cuda:0', but devices is cpu,cpu"),
        ({"devices": "cpu,cpu", "model_devices": {"e5-small": ""}}, "placed on '', but"),
        ({"devices": "cuda:0,cuda:1", "model_devices": {"e5-small": "cuda:0"}}, "no model is placed on cuda:1"),
        (
            {"devices": "cpu", "models": {"far": "http://127.0.0.1:9"}, "model_devices": {"far": "cpu"}},
            "far is scored by a server",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        links(**options)


def test_the_threads_of_the_cpu_are_shared(monkeypatch):
    monkeypatch.setattr("sidecar.serving.scorer.devices.threads", lambda: 7)
    counts = [one.get("OMP_NUM_THREADS") for one in thread_shares(["cpu", "cuda:0", "cpu", "cpu"], {})]
    assert counts == ["3", None, "2", "2"]
    assert thread_shares(["cpu", "cpu"], {"MKL_NUM_THREADS": "9"})[1] == {
        "OMP_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
        "RAYON_NUM_THREADS": "3",
    }
    assert thread_shares(["cpu"], {}) == thread_shares(["cuda:0"], {}) == [{}]


def test_more_processes_than_threads_have_one_each(monkeypatch, caplog):
    monkeypatch.setattr("sidecar.serving.scorer.devices.threads", lambda: 2)
    assert [one["OMP_NUM_THREADS"] for one in thread_shares(["cpu"] * 3, {})] == ["1", "1", "1"]
    assert "3 processes on the CPU share 2 threads" in caplog.text


def test_models_without_a_place_are_on_all_devices():
    placed = place(LOCAL, LOCAL, ("cuda:0", "cuda:1"), {"small": " cuda:1 "})
    assert [list(one) for one in placed] == [["big"], ["big", "small"]]


def test_auto_is_what_torch_sees(monkeypatch):
    monkeypatch.setattr("sidecar.serving.build_scorers.VISIBLE", (sys.executable, "-c", "print('cuda:0\\ncuda:1')"))
    assert [one.device for one in processes(devices="auto")] == ["cuda:0", "cuda:1"]
    with pytest.raises(ConfigurationError, match="device is cpu, but devices is cuda:0,cuda:1"):
        links(devices="auto", device="cpu")


def test_auto_without_an_answer_is_refused(monkeypatch):
    broken = (sys.executable, "-c", "raise ImportError('no torch')")
    monkeypatch.setattr("sidecar.serving.build_scorers.VISIBLE", broken)
    with pytest.raises(ConfigurationError, match="can't be asked for its devices: ImportError: no torch"):
        links(devices="auto")


def test_a_machine_without_a_gpu_has_one_process_on_the_cpu(monkeypatch):
    monkeypatch.setattr(visible_devices, "has_accelerator", lambda: False)
    assert visible_devices.visible_devices() == ["cpu"]


def test_the_devices_are_printed_one_a_line():
    command = [sys.executable, "-m", "sidecar.scoring.visible_devices"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert found[0] in {"cpu", "mps", "cuda:0"}
