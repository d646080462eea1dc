from __future__ import annotations

import subprocess
import sys

import pytest

from sidecar.scoring import hardware


def test_a_cpu_without_a_name_is_known_by_its_kind(monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name : Some CPU: v2\n")
    monkeypatch.setattr(hardware, "CPU_INFO", tmp_path / "cpuinfo")
    assert hardware.cpu_name() == "Some CPU: v2"
    monkeypatch.setattr(hardware, "CPU_INFO", tmp_path / "absent")
    assert hardware.cpu_name()


def test_processors_that_share_a_core_are_one(monkeypatch, tmp_path):
    for processor, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        place = tmp_path / f"cpu{processor}" / "topology"
        place.mkdir(parents=True)
        (place / "thread_siblings_list").write_text(siblings)
    monkeypatch.setattr(hardware, "TOPOLOGY", tmp_path)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert hardware.cores() == 2
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 2})
    assert hardware.cores() == 1
    monkeypatch.setattr(hardware, "TOPOLOGY", tmp_path / "absent")
    assert hardware.cores() == 2


@pytest.mark.parametrize(("value", "expected"), [("1", 1), ("3,1", 3), ("0", None), ("many", None), ("", None)])
def test_openmps_number_of_threads_counts_where_torch_is_not_loaded(monkeypatch, value, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert hardware.threads() == (expected or hardware.cores())


def test_as_many_threads_as_torch_takes_where_it_is_loaded(monkeypatch):
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert hardware.threads() == torch.get_num_threads()


def test_a_driver_that_finds_no_device_is_no_accelerator(monkeypatch):
    class Driver:
        devices = 0

        def cuInit(self, flags):  # noqa: N802  CUDA's name
            return 0

        def cuDeviceGetCount(self, count):  # noqa: N802  CUDA's name
            count._obj.value = self.devices
            return 0

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", lambda name: Driver())
    assert not hardware.has_accelerator()
    Driver.devices = 1
    assert hardware.has_accelerator()


def test_it_finds_what_torch_finds():
    probe = (
        "import torch; from sidecar.scoring import hardware; "
        "print(hardware.has_accelerator(), torch.cuda.is_available())"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    ours, torchs = done.stdout.split()
    assert ours == torchs
