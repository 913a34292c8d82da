"""Count the CPUs that this process may keep busy."""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

from fastars._runtime.control_groups import control_groups

# A number of threads, or a list with one for each level of nested parallel regions. Ray and joblib set the second variable.
_THREAD_VARIABLES = "NUMBA_NUM_THREADS", "OMP_NUM_THREADS"


def available_cpus() -> int:
    """Return the CPUs that this process may keep busy: its allowed CPUs, or fewer if its quota or a variable limits them."""
    limits = [allowed_cpus(), *thread_limits(os.environ).values()]
    if (quota := cpu_quota()) is not None:
        limits.append(math.ceil(quota))
    return min(limits)


def allowed_cpus() -> int:
    """Return the number of CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_limits(variables: Mapping[str, str]) -> dict[str, int]:
    """Return the variables that limit the threads of a process, without those that are no positive number."""
    found = {name: re.match(r"\s*0*([1-9]\d{0,5})\s*(,|$)", variables.get(name, "")) for name in _THREAD_VARIABLES}
    return {name: int(match[1]) for name, match in found.items() if match}


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return the least CPU time per second that a control group of this process grants, in CPUs; None if there is no limit."""
    files = {True: ("cpu.max",), False: ("cpu.cfs_quota_us", "cpu.cfs_period_us")}
    quotas = [_quota(folder, *files[is_second]) for folder, is_second in control_groups("cpu", root)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(folder: Path, *files: str) -> float | None:
    """Return the ratio of the two numbers in these files; None if they don't exist or set no limit ("max", -1)."""
    try:
        limit, period = (int(number) for name in files for number in (folder / name).read_text().split())
    except (OSError, ValueError):
        return None
    return limit / period if limit > 0 and period > 0 else None
