"""Describe the machine of a benchmark for its result file, and confine the process to some CPUs."""

import datetime
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

THREADS = 2  # all figures are for two CPUs
_PACKAGES = ("numba", "numpy", "gymnasium", "mujoco")
_PEERS = ("envpool", "gymnax", "jax", "sb3-contrib", "stable-baselines3", "torch", "torchjd")


def take_two_cpus() -> None:
    """Confine this process to `THREADS` CPUs, before NumPy, JAX or torch count them to size their thread pools."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    # OpenMP's idle threads spin by default, on a CPU that the next competitor wants: a launch of 15 ms was seen instead of 0.1 ms.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # OpenBLAS's spin for 2**26 cycles after a product, which halved the two threads of whoever came next.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")


def machine_info() -> dict[str, Any]:
    """Return CPU, versions, threads and date, but no name of a host or user."""
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": _cpu_model(),
        "threads": THREADS,
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES + _PEERS if (version := _version(name)) is not None},
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY"),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
    values = {key.strip(): value.strip() for key, value in fields.items()}
    name = values.get("model name", platform.machine())
    if "vendor_id" in values:  # a hypervisor may hide the product's name: family and model still tell what it is
        name += f" (family {values.get('cpu family')}, model {values.get('model')})"
    return name
