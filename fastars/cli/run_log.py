"""The log of a run: `progress.csv` and, if asked for, a monitor file, events for TensorBoard and the original's files."""

from __future__ import annotations

import csv
import io
import itertools
import math
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastars._imports import need
from fastars.cli.original import PRESET, OriginalFiles
from fastars.files.atomic import write_atomically
from fastars.files.errors import naming
from fastars.files.opening import is_there, open_regular
from fastars.logger import Logger
from fastars.logger.monitor import EpisodeWriter

if TYPE_CHECKING:
    from fastars._compiled.structs import Rollouts
    from fastars.ars import ARS
    from fastars.cli.plan import Plan

PROGRESS, MONITOR = "progress.csv", "0.monitor.csv"


class RunLog:
    """The files that a run writes a row into after each iteration or episode.

    Parameters
    ----------
    folder : Path
    plan : Plan
    model : ARS
    evaluated_at : int, optional
        For a resumed run, the steps of its last evaluation. The log then continues the files of the earlier part: rows beyond the
        state of `model` are cut off, and the seconds count on.
    """

    def __init__(self, folder: Path, plan: Plan, model: ARS, evaluated_at: int | None = None) -> None:
        self._monitor: EpisodeWriter | None = None
        self._original: OriginalFiles | None = None
        goes_on = evaluated_at is not None
        seconds = cut_progress(folder / PROGRESS, model.num_timesteps, evaluated_at) if evaluated_at is not None else 0.0
        if model.preset == PRESET:
            self._original = OriginalFiles(folder, model, plan, goes_on, seconds)
        if plan.tensorboard and goes_on:
            purge_events(folder, model.num_timesteps)
        formats: list[Any] = ["csv", *(["tensorboard"] if plan.tensorboard else [])]
        self.logger: Logger = _Continued(seconds, folder, formats, append=goes_on)
        if plan.monitor:
            if goes_on:
                cut_monitor(folder / MONITOR, model.num_episodes)
            self._monitor = EpisodeWriter(folder / MONITOR, model.env_id, append=goes_on)

    def write_episodes(self, rollouts: Rollouts) -> None:
        """Write a row for each episode of an iteration."""
        if self._monitor is not None:
            self._monitor.write(rollouts.returns, rollouts.lengths)

    def after_iteration(self, model: ARS) -> None:
        """Write the original's row about the unperturbed policy, if it is due."""
        if self._original is None:
            return
        try:
            self._original.after_iteration(model)
        except OSError as error:  # a full disk does not stop training: the same holds for the other rows of the log
            warnings.warn(f"a row of log.txt is lost, training goes on: {error}", RuntimeWarning, stacklevel=2)

    def close(self, model: ARS) -> None:
        """Write the policy for the original, and close the files."""
        if self._original is not None:
            self._original.save(model)
        self.logger.close()
        if self._monitor is not None:
            self._monitor.close()


class _Continued(Logger):
    """A logger whose seconds count on from an earlier part of the run."""

    def __init__(self, seconds: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seconds = seconds

    def record(self, key: str, value: Any, exclude: str | tuple[str, ...] | None = None) -> None:
        super().record(key, value + self._seconds if key == "time/time_elapsed" else value, exclude)


def cut_progress(path: Path, steps: int, evaluated_at: int) -> float:
    """Cut off the rows beyond so many steps, which a resumed run writes again; return the seconds in the last row that stays.

    The row of an evaluation at exactly these steps stays only if the run knows this evaluation: `evaluated_at` equals `steps`.
    """
    seconds = 0.0

    def kept() -> Iterator[bytes]:  # line by line: all rows as texts would take 30 times the memory of the file
        nonlocal seconds
        rows = _whole_rows(path)
        header = next(rows, [])
        if header:
            yield _line(header)
        for row in rows:
            if len(row) != len(header):  # a damaged row
                continue
            named = dict(zip(header, row, strict=False))
            is_evaluation = bool(named.get("eval/mean_reward"))
            try:
                at = int(named["time/total_timesteps"])
                elapsed = float(named["time/time_elapsed"]) if at <= steps and named.get("time/time_elapsed") else seconds
            except (KeyError, ValueError):
                continue
            seconds = elapsed if math.isfinite(elapsed) else seconds
            if at < steps or (at == steps and (not is_evaluation or evaluated_at == steps)):
                yield _line(row)

    write_atomically(path, kept(), follow=False)
    return seconds


def purge_events(folder: Path, steps: int) -> None:
    """Write an event that lets TensorBoard ignore all events beyond so many steps, because event files can't be cut.

    TensorBoard reads files in the order of their names.
    """
    protocol = need("tensorboardX.proto.event_pb2", "tensorboard", "a log for TensorBoard")
    with naming(folder / "events"):
        writer = need("tensorboardX.event_file_writer", "tensorboard").EventsWriter(str(folder / "events"), f".{time.time_ns()}")
        start = protocol.SessionLog(status=protocol.SessionLog.START)
        writer.write_event(protocol.Event(wall_time=time.time(), step=steps + 1, session_log=start))
        writer.close()


def cut_monitor(path: Path, n_episodes: int) -> None:
    """Cut off all episodes but the first `n_episodes`."""

    def kept() -> Iterator[bytes]:  # at its end the file is closed: Windows replaces no open file
        with open_regular(path) as file:
            lines = itertools.islice(file, 2 + n_episodes)  # two of them are the header
            yield from (line for line in lines if line.endswith(b"\n"))

    if is_there(path):
        write_atomically(path, kept(), follow=False)


def _whole_rows(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a CSV file, without an incomplete line at its end, which a killed process can leave."""
    if not is_there(path):
        return
    with open_regular(path, "r", newline="", encoding="utf-8", errors="replace") as file:
        try:
            yield from csv.reader(line for line in file if line.endswith(("\n", "\r")))
        except csv.Error as error:
            raise ValueError(f"{path} is damaged: {error}") from error


def _line(row: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(row)
    return line.getvalue().encode()
