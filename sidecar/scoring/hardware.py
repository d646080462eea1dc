"""The properties of this machine's CPU and accelerators that decide how an encoder is computed; loads no torch."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
TOPOLOGY = Path("/sys/devices/system/cpu")
# The CUDA driver's file names on Linux and Windows.
DRIVERS = ("libcuda.so.1", "nvcuda.dll")


def cpu_name() -> str:
    """Return the CPU's model name, or at least its architecture."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def native_precisions() -> tuple[str, ...]:
    """List the formats this CPU computes in natively: float32, and bfloat16 where it has AMX or AVX512-BF16.

    OpenVINO is asked, so it has to be installed.
    """
    import openvino

    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("float32", "bfloat16") if "BF16" in able else ("float32",)


def threads() -> int:
    """Return the number of compute threads: torch's if torch is loaded, else `OMP_NUM_THREADS`, else one a core."""
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):
        return int(torch.get_num_threads())
    value = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(value) if value.isdigit() and int(value) > 0 else cores()


def cores() -> int:
    """Return the physical cores that this process may use; logical processors if the system does not group them."""
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    siblings = set()
    for processor in usable:
        place = TOPOLOGY / f"cpu{processor}" / "topology" / "thread_siblings_list"
        try:
            siblings.add(place.read_text(encoding="utf-8"))
        except OSError:
            return len(usable)
    return len(siblings)


def has_accelerator() -> bool:
    """True if torch could find a GPU here: by CUDA's driver with a device, by ROCm, or Apple's.

    The driver is asked without torch, which takes seconds to load. If its answer is unclear, this returns True and
    torch decides.
    """
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if Path("/dev/kfd").exists():
        return True
    for name in DRIVERS:
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int()
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    return False
