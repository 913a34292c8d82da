"""Names of the checkpoints in a folder: `<name>_<steps>_steps.zip`, and `model.zip` in a run folder of the command.

This module imports no NumPy: the help of the command lists files.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

MODEL, BEST_MODEL = "model.zip", "best_model.zip"
_NAMED = re.compile(r"(?P<prefix>.+)_(?P<steps>\d+)_steps\.zip")


def checkpoints(folder: str | os.PathLike[str], name_prefix: str | None = None) -> list[tuple[int, Path]]:
    """Return (steps, file) of the checkpoints that are named after their steps, the newest first; None takes all prefixes."""
    matches = [(_NAMED.fullmatch(path.name), path) for path in Path(folder).iterdir()]
    found = [(int(match["steps"]), path) for match, path in matches if match and name_prefix in (None, match["prefix"])]
    return sorted(found, reverse=True)


def prefix_of(path: Path) -> str | None:
    """Return the prefix in the name of a checkpoint, or None if the file is not named after its steps."""
    match = _NAMED.fullmatch(path.name)
    return None if match is None else match["prefix"]


def keep_newest(folder: Path, n_kept: int, name_prefix: str) -> list[int]:
    """Remove all checkpoints but the `n_kept` newest; return the steps of the removed ones."""
    old = checkpoints(folder, name_prefix)[n_kept:]
    for _, path in old:
        path.unlink(missing_ok=True)
    return [steps for steps, _ in old]
