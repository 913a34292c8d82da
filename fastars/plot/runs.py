"""Read the course of a run from the files in its folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._validate import positive_int, user_facing
from fastars.files.errors import DamagedFileError, name_of
from fastars.files.opening import file_in, is_there
from fastars.files.tables import parse_number, read_arrays, read_columns, read_toml
from fastars.logger.monitor import start_time

RETURN = "rollout/ep_rew_mean"
RETURNS = ("eval", "train", RETURN)  # metrics whose values are returns
_STEPS, _SECONDS = "time/total_timesteps", "time/time_elapsed"


class Run(NamedTuple):
    """The course of a run: a value after some numbers of steps."""

    folder: Path
    env_id: str
    seed: int | None
    settings: dict[str, Any]  # all settings but the environment's id and the seed
    steps: FloatArray  # (n,) environment steps
    seconds: FloatArray  # (n,) seconds of training; NaN if no file has times
    values: FloatArray  # (n,)
    metric: str = "eval"  # as `read_run` was asked
    of_env: tuple[str, ...] = ()  # names of the settings that are arguments of the environment


class Series(NamedTuple):
    """Values after some numbers of steps."""

    steps: FloatArray  # (n,)
    seconds: FloatArray  # (n,)
    values: FloatArray  # (n,)


@user_facing
def read_run(folder: str | os.PathLike[str], metric: str = "eval", window: int = 100) -> Run:
    """Read the course of a run.

    Parameters
    ----------
    folder : str or PathLike
        A folder with `evaluations.npz`, `progress.csv` or `*.monitor.csv`.
    metric : str
        "eval": mean returns of evaluations. "train": mean returns of training episodes. Any other text: a column of `progress.csv`,
        such as "train/grad_norm".
    window : int
        Number of episodes in a mean of "train", for a folder that has monitor files but no `progress.csv`.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no file in it that has the metric.
    TypeError, ValueError
        If an argument is wrong, a file has no such column, or a file is damaged.
    """
    folder, window = Path(folder), positive_int("window", window)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no run folder {name_of(folder)}")
    progress = folder / "progress.csv"
    if metric == "eval":
        series = read_evaluations(folder)
    elif metric == "train" and not is_there(progress):
        series = read_episodes(folder, window)
    else:
        series = read_column(progress, RETURN if metric == "train" else metric)
    env_id, seed, settings, of_env = read_settings(folder)
    return Run(folder, env_id, seed, settings, *series, metric, of_env)


def read_evaluations(folder: Path) -> Series:
    """Return the mean returns in `evaluations.npz`, with the times of `progress.csv` if there is one."""
    path = folder / "evaluations.npz"
    if not is_there(path):
        raise FileNotFoundError(f"{name_of(folder)} has no evaluations.npz: the metric 'train' is the returns of training episodes")
    arrays = read_arrays(path)
    for name, n_axes in (("timesteps", 1), ("results", 2)):
        if name not in arrays or arrays[name].ndim != n_axes or arrays[name].dtype.kind not in "fiu":
            raise DamagedFileError(f"{path} is damaged: it has no {name} with {n_axes} axes")
    steps, results = arrays["timesteps"].astype(float), arrays["results"].astype(float)
    if len(steps) != len(results) or results.shape[1] == 0:
        raise DamagedFileError(f"{path} is damaged: {len(steps)} timesteps, results of shape {results.shape}")
    progress = folder / "progress.csv"
    seconds = np.full(len(steps), np.nan)
    if is_there(progress):
        log = read_column(progress, _SECONDS)
        if len(log.steps):
            seconds = np.interp(steps, log.steps, log.seconds)
    return Series(steps, seconds, results.mean(axis=1))


def read_column(path: Path, name: str) -> Series:
    """Return a column of a log, without the rows in which its cell is empty."""
    if not is_there(path):
        raise FileNotFoundError(f"{name_of(path.parent)} has no progress.csv")
    names = (_STEPS, _SECONDS, name)
    kept = (row for row in read_columns(path, names, optional=[_SECONDS]) if row[0] and row[2])
    numbers = ([parse_number(path, cell) for cell in row] for row in kept)
    return Series(*np.fromiter(numbers, np.dtype((float, len(names)))).T)


def read_episodes(folder: Path, window: int) -> Series:
    """Return mean returns over the last `window` episodes, in the order of time, of all monitor files in a folder."""
    rows = np.fromiter((row for path in sorted(folder.glob("*monitor.csv")) for row in _episodes(path)), np.dtype((float, 3)))
    if not len(rows):
        raise FileNotFoundError(f"{name_of(folder)} has neither a progress.csv nor episodes in a monitor.csv")
    times, returns, lengths = rows[np.argsort(rows[:, 0], kind="stable")].T
    n = min(window, len(returns))
    sums = np.cumsum(np.concatenate([[0.0], returns]))
    return Series(np.cumsum(lengths)[n - 1 :], times[n - 1 :] - times[0], (sums[n:] - sums[:-n]) / n)


def _episodes(path: Path) -> Iterator[tuple[float, float, float]]:
    """Yield time, return and length of each episode in a monitor file."""
    start = start_time(file_in(path), columns="r,l,t")
    if start is None:
        raise DamagedFileError(f"{path} is damaged: it does not begin like a file of Monitor")
    for total, length, seconds in read_columns(path, ("r", "l", "t"), skip=1):
        yield start + parse_number(path, seconds), parse_number(path, total), parse_number(path, length)


def read_settings(folder: Path) -> tuple[str, int | None, dict[str, Any], tuple[str, ...]]:
    """Return (id of the environment, seed, other settings, names of those of the environment) from `config.toml`.

    Without it, the id is the name of the folder, and nothing else is known.
    """
    path = folder / "config.toml"
    if not is_there(path):
        return re.sub(r"_\d+$", "", folder.resolve().name), None, {}, ()
    config = read_toml(path)
    tables = [config.get(table, {}) for table in ("env", "run", "settings")]
    if not all(isinstance(table, dict) for table in tables) or not isinstance(tables[1].get("seed", 0), int):
        raise DamagedFileError(f"{path} is damaged: [env], [run] and [settings] must be tables, and seed an integer")
    env, run, settings = tables
    env_id = str(env.get("id", folder.resolve().name))
    of_run = {name: run.get(name) for name in ("preset", "backend", "init")}
    of_env = {name: value for name, value in env.items() if name != "id"}
    return env_id, run.get("seed"), of_env | of_run | settings, tuple(of_env)
