"""A hint for the name of a run or of a file that is not there."""

from __future__ import annotations

import itertools
from pathlib import Path

from fastars._validate import did_you_mean

_RUNS = Path("runs")  # the usual place of run folders
_MOST = 10_000  # names that are looked at


def near_path(path: Path) -> str:
    """Return "; did you mean 'x'?" for the path of the nearest name beside `path` or among the usual runs; else nothing."""
    folders = [folder for folder in dict.fromkeys((path.parent, _RUNS)) if folder.is_dir()]
    try:
        beside = [str(entry) for folder in folders for entry in itertools.islice(folder.iterdir(), _MOST)]
    except OSError:  # it may not be read
        return ""
    return did_you_mean(path, sorted(beside))
