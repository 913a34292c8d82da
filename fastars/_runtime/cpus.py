"""Count the CPUs that this process may keep busy."""

import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

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
    """Return the least CPU time per second that a control group of this process grants, in CPUs; None if there is no limit.

    In a container, the files of its group may lie at the root of the mounted groups, and not at the path in `/proc/self/cgroup`.
    The search covers that path and all its parents.
    """
    mounted = root / "sys/fs/cgroup"
    quotas = []
    for controllers, path in _groups(root / "proc/self/cgroup"):
        for group in (path, *path.parents):
            if not controllers:  # version 2
                quotas.append(_quota(mounted / group, "cpu.max"))
            elif "cpu" in controllers.split(","):
                quotas.append(_quota(mounted / controllers / group, "cpu.cfs_quota_us", "cpu.cfs_period_us"))
    return min((quota for quota in quotas if quota is not None), default=None)


def _groups(listed: Path) -> Iterator[tuple[str, PurePosixPath]]:
    """Yield (controllers, path) of each control group of this process. A group of version 2 has no controllers."""
    try:
        lines = listed.read_text().splitlines()
    except (OSError, ValueError):  # not Linux, or no permission
        return
    for line in lines:
        if match := re.fullmatch(r"\d+:([^:/]*):/(.*)", line):
            controllers, path = match.groups()
            yield controllers, PurePosixPath(path)


def _quota(folder: Path, *files: str) -> float | None:
    """Return the ratio of the two numbers in these files; None if they don't exist or set no limit ("max", -1)."""
    try:
        limit, period = (int(number) for name in files for number in (folder / name).read_text().split())
    except (OSError, ValueError):
        return None
    return limit / period if limit > 0 and period > 0 else None
