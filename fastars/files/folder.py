"""The checkpoints of a run in a folder: `<name>_<steps>_steps.zip`, and in a run folder of the command, `model.zip`."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

MODEL = "model.zip"
_NAMED = re.compile(r"(?P<prefix>.+)_(?P<steps>\d+)_steps\.zip")


def checkpoints(folder: str | os.PathLike[str], name_prefix: str | None = None) -> list[tuple[int, Path]]:
    """(steps, file) of the checkpoints in a folder that are named after their steps, the newest first; of all prefixes for None."""
    matches = [(_NAMED.fullmatch(path.name), path) for path in Path(folder).iterdir()]
    found = [(int(match["steps"]), path) for match, path in matches if match and name_prefix in (None, match["prefix"])]
    return sorted(found, reverse=True)


def latest_checkpoint(folder: str | os.PathLike[str], name_prefix: str | None = None) -> Path:
    """The newest whole checkpoint in a folder; of damaged ones that are newer, it is said.

    Parameters
    ----------
    folder : str or PathLike
        A run folder of `fastars train`, or the `save_path` of a `CheckpointCallback`.
    name_prefix : str, optional
        That of the callback. Default: the only one there is.

    Returns
    -------
    Path
        For `ARS.load`.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    fastars.CheckpointError
        If none is whole.
    ValueError
        If there are checkpoints of several prefixes, and none is named.

    Examples
    --------
    >>> from fastars import ARS, latest_checkpoint
    >>> model = ARS.load(latest_checkpoint("checkpoints"))  # doctest: +SKIP
    """
    from fastars.files import checkpoint  # and not above: the help of the command lists files, and waits for no NumPy

    folder = Path(folder)
    named = [path for _, path in checkpoints(folder, name_prefix)]
    prefixes = sorted({match["prefix"] for path in named if (match := _NAMED.fullmatch(path.name))})
    if len(prefixes) > 1:
        raise ValueError(f"name_prefix must be one of {', '.join(prefixes)}, got None: {folder} has checkpoints of each")
    current = [folder / MODEL] if (folder / MODEL).exists() and name_prefix in (None, "model") else []
    for path in current + named:
        try:
            checkpoint.load(path)
        except (checkpoint.CheckpointError, OSError) as error:
            warnings.warn(f"{error}; the one before it is taken", RuntimeWarning, stacklevel=2)
        else:
            return path
    if current or named:
        raise checkpoint.CheckpointError(f"{folder} has no {MODEL} and no checkpoint that can be read")
    raise FileNotFoundError(f"{folder} has no {MODEL} and no <name>_<steps>_steps.zip")


def whole_beside(path: Path) -> Path | None:
    """The newest whole checkpoint in the folder of a damaged file, if any."""
    from fastars.files import checkpoint

    try:
        others = [path.parent / MODEL, *(other for _, other in checkpoints(path.parent))]
    except OSError:
        return None
    for other in others:
        if other.name != path.name:
            try:
                checkpoint.load(other)
            except (checkpoint.CheckpointError, OSError):
                continue
            return other
    return None


def keep_newest(folder: Path, n_kept: int, name_prefix: str) -> list[int]:
    """Remove all checkpoints but the `n_kept` newest; the steps of those removed."""
    old = checkpoints(folder, name_prefix)[n_kept:]
    for _, path in old:
        path.unlink(missing_ok=True)
    return [steps for steps, _ in old]
