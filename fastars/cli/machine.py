"""Describe the machine that a run begins on."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

from fastars._runtime.cpus import available_cpus

_CPU_INFO = Path("/proc/cpuinfo")
_MOST = 80  # characters of a name


def described_machine() -> dict[str, Any]:
    """Return the system, the processor and the number of CPUs that this process may use; None for a name that is unknown."""
    return {"system": f"{platform.system()} {platform.machine()}", "processor": _processor(), "cpus": available_cpus()}


def _processor() -> str | None:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", _CPU_INFO.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    except OSError:
        found = None
    name = found[1] if found else platform.processor()
    return " ".join(name.split())[:_MOST] or None
