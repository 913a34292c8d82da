"""The control groups of this process, in whose files Linux keeps the limits of a container."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def control_groups(controller: str, root: Path = Path("/")) -> Iterator[tuple[Path, bool]]:
    """Yield the folders of the groups that may limit a resource, and True for a folder of version 2.

    In a container, the files of its group may lie at the root of the mounted groups, and not at the path in `/proc/self/cgroup`.
    The search covers that path and all its parents.

    Parameters
    ----------
    controller : str
        The resource: "cpu", "memory".
    root : Path
        The root of the file system.
    """
    mounted = root / "sys/fs/cgroup"
    for controllers, path in _groups(root / "proc/self/cgroup"):
        for group in (path, *path.parents):
            if not controllers:  # version 2
                yield mounted / group, True
            elif controller in controllers.split(","):
                yield mounted / controllers / group, False


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
