"""Files of episodes: a row of return, length and time for each, in the format of stable-baselines3's `Monitor`."""

from __future__ import annotations

import json
import math
import os
import time
import warnings
from pathlib import Path
from typing import Any

from fastars._compiled.structs import FloatArray
from fastars.logger import Lines

_MAX_HEADER = 1 << 16  # characters


class EpisodeWriter:
    """Writes a `*.monitor.csv`: `#{"t_start": ..., "env_id": ...}`, then `r,l,t` and a row per episode.

    A process that is killed leaves whole rows, or half of one that is cut off when the file is gone on with. A full disk loses
    rows, never the run: it is warned of once.

    Parameters
    ----------
    path : str or PathLike
        The file; its folder is made.
    env_id : str
        Id of the environment.
    append : bool
        Go on with the file of an earlier run; its clock goes on, too.

    Raises
    ------
    OSError
        If the file can't be made.
    """

    def __init__(self, path: str | os.PathLike[str], env_id: str, append: bool = False) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        start = start_of(path) if append else None
        self._lines, self._has_failed = Lines(path, start is not None), False
        self._start = time.time() if start is None else start
        if start is None:
            self._lines.write(f"#{json.dumps({'t_start': self._start, 'env_id': env_id})}\nr,l,t\n")

    def write(self, returns: FloatArray, lengths: Any) -> None:
        """Add a row for each episode, with the time since the start in seconds."""
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


def start_of(path: Path, begins: str = "r,l,t\n") -> float | None:
    """When the clock of a file started, in seconds since 1970; None if there is no file with a whole header.

    The line of its columns begins with `begins`.
    """
    if not path.is_file():  # opening a pipe would wait for a writer
        return None
    try:
        with open(path, encoding="utf-8") as file:
            header, columns = file.readline(_MAX_HEADER), file.readline(_MAX_HEADER)
        start = float(json.loads(header.removeprefix("#"))["t_start"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return start if columns.startswith(begins) and math.isfinite(start) else None
