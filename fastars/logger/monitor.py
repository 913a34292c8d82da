"""Files of episodes in the format of stable-baselines3's `Monitor`: one row per episode, with return, length and time."""

from __future__ import annotations

import json
import math
import os
import time
import warnings
from pathlib import Path
from typing import Any

from fastars._compiled.structs import FloatArray
from fastars.files.lines import LineWriter
from fastars.files.opening import is_there, open_regular

_MAX_HEADER = 1 << 16  # characters


class EpisodeWriter:
    """Writes a `*.monitor.csv`: a line `#{"t_start": ..., "env_id": ...}`, then `r,l,t`, then a row per episode.

    A killed process leaves whole rows and at most one half row, which is removed when a later process appends to the file. A full
    disk loses rows, never the run: the writer warns once.

    Parameters
    ----------
    path : str or PathLike
        The file. A missing folder is made.
    env_id : str
        Id of the environment.
    append : bool
        True continues the file of an earlier run: its rows stay, and times count from its start. False begins a new file.

    Raises
    ------
    OSError
        If the file can't be made.
    """

    def __init__(self, path: str | os.PathLike[str], env_id: str, append: bool = False) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        start = start_time(path) if append else None
        self._lines, self._has_failed = LineWriter(path, start is not None), False
        self._start = time.time() if start is None else start
        if start is None:
            self._lines.write(f"#{json.dumps({'t_start': self._start, 'env_id': env_id})}\nr,l,t\n")

    def write(self, returns: FloatArray, lengths: Any) -> None:
        """Add one row per episode, with the time since the start of the file in seconds.

        Parameters
        ----------
        returns : ndarray of float64, shape (m,)
            Returns of the episodes.
        lengths : ndarray of int64, shape (m,)
            Lengths of the episodes in steps.
        """
        seconds = f"{time.time() - self._start:.6f}"
        rows = zip(returns.tolist(), lengths.tolist(), strict=True)
        try:
            self._lines.write("".join(f"{total:.6f},{length},{seconds}\n" for total, length in rows))
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                warnings.warn(f"rows of {self._lines.path} are lost, training goes on: {error}", RuntimeWarning, stacklevel=2)

    def close(self) -> None:
        """Close the file; the next row opens it again."""
        self._lines.close()


def start_time(path: Path, columns: str = "r,l,t\n") -> float | None:
    """Return the time at which a monitor file starts, in seconds since 1970, or None if there is no file with a whole header.

    A symbolic link is no such file.

    Parameters
    ----------
    path : Path
        The file.
    columns : str
        The text with which the second line begins.
    """
    try:
        if not is_there(path):
            return None
        with open_regular(path, "r", encoding="utf-8") as file:
            header, second_line = file.readline(_MAX_HEADER), file.readline(_MAX_HEADER)
        start = float(json.loads(header.removeprefix("#"))["t_start"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return start if second_line.startswith(columns) and math.isfinite(start) else None
