"""Find a readable checkpoint in a folder."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from fastars._validate import user_facing
from fastars.files import checkpoint
from fastars.files.checkpoint_names import MODEL, checkpoints, prefix_of
from fastars.files.errors import CheckpointError, DamagedFileError, name_of
from fastars.files.opening import file_in


@user_facing
def latest_checkpoint(folder: str | os.PathLike[str], name_prefix: str | None = None) -> Path:
    """Return the newest readable checkpoint in a folder; warn about newer damaged ones. A symbolic link is none.

    Parameters
    ----------
    folder : str or PathLike
        A run folder of `fastars train`, or the `save_path` of a `CheckpointCallback`.
    name_prefix : str, optional
        The `name_prefix` of the callback. Default: the only prefix in the folder.

    Returns
    -------
    Path
        The file, for `ARS.load`.

    Raises
    ------
    FileNotFoundError
        If there is no checkpoint.
    fastars.CheckpointError
        If no checkpoint is readable.
    ValueError
        If there are checkpoints of several prefixes and `name_prefix` is None.

    Examples
    --------
    >>> from fastars import ARS, latest_checkpoint
    >>> model = ARS.load(latest_checkpoint("checkpoints"))  # doctest: +SKIP
    """
    folder = Path(folder)
    named = [path for _, path in checkpoints(folder, name_prefix)]
    prefixes = sorted({prefix for path in named if (prefix := prefix_of(path)) is not None})
    if len(prefixes) > 1:
        names = ", ".join(map(repr, prefixes))
        raise ValueError(f"name_prefix must be one of {names}, got None: {name_of(folder)} has checkpoints of each")
    current = [folder / MODEL] if os.path.lexists(folder / MODEL) and name_prefix in (None, "model") else []
    for path in current + named:
        try:
            checkpoint.load(file_in(path))
        except (CheckpointError, DamagedFileError, OSError) as error:
            warnings.warn(f"{error}; the checkpoint before it is taken", RuntimeWarning, stacklevel=3)
        else:
            return path
    if current or named:
        raise CheckpointError(f"{folder} has no {MODEL} and no checkpoint that can be read")
    raise FileNotFoundError(f"{name_of(folder)} has no {MODEL} and no <name>_<steps>_steps.zip")


def whole_beside(path: Path) -> Path | None:
    """Return the newest readable checkpoint in the folder of a damaged file, or None if there is none."""
    try:
        others = [path.parent / MODEL, *(other for _, other in checkpoints(path.parent))]
    except OSError:
        return None
    for other in others:
        if other.name != path.name:
            try:
                checkpoint.load(file_in(other))
            except (CheckpointError, DamagedFileError, OSError):
                continue
            return other
    return None
