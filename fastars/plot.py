"""Learning curves of one or many runs: `read_run`, `learning_curves`, `plot_runs`. Pictures need `fastars[plot]`.

Runs that differ only in their seed are one curve: the mean over runs, or the interquartile mean, with a band of its 95 % bootstrap
interval over runs (Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice", arXiv 2108.13264).
Run folders of `fastars train` are read, and those of stable-baselines3 and rl-zoo: `progress.csv`, `evaluations.npz`,
`*.monitor.csv`.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._imports import need
from fastars.files.tables import parse_number, read_arrays, read_columns, read_toml
from fastars.logger.monitor import start_time as monitor_start

RETURN = "rollout/ep_rew_mean"
_STEPS, _SECONDS = "time/total_timesteps", "time/time_elapsed"
# Okabe & Ito's, which people with any kind of colour vision tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


class Run(NamedTuple):
    """A run over its steps."""

    folder: Path
    env_id: str
    seed: int | None
    settings: dict[str, Any]  # what else tells it from others
    steps: FloatArray  # (n,) environment steps
    seconds: FloatArray  # (n,) of training; NaN where no file says
    values: FloatArray  # (n,)


class Curve(NamedTuple):
    """Runs of one kind, seen as one."""

    label: str
    runs: tuple[Run, ...]
    x: FloatArray  # (n,) steps or seconds
    center: FloatArray  # (n,) mean or interquartile mean over runs
    low: FloatArray  # (n,) of the band; the center itself, where there is one run
    high: FloatArray


def read_run(folder: str | os.PathLike[str], metric: str = "eval", window: int = 100) -> Run:
    """The course of a run.

    Parameters
    ----------
    folder : str or PathLike
        A folder with `evaluations.npz`, `progress.csv` or `*.monitor.csv`.
    metric : str
        "eval": mean returns of evaluations. "train": mean returns of training episodes. Otherwise a column of `progress.csv`, such
        as "train/grad_norm".
    window : int
        Episodes of which the mean is taken, where episodes are all there is.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no file in it that has the metric.
    ValueError
        If a file has no such column.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no run folder {folder}")
    progress = folder / "progress.csv"
    if metric == "eval":
        steps, seconds, values = _evaluations(folder)
    elif metric == "train" and not progress.is_file():
        steps, seconds, values = _episodes(folder, window)
    else:
        steps, seconds, values = _columns(progress, RETURN if metric == "train" else metric)
    return Run(folder, *_described(folder), steps, seconds, values)


def _evaluations(folder: Path) -> tuple[FloatArray, FloatArray, FloatArray]:
    path = folder / "evaluations.npz"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no evaluations.npz: the returns of training episodes are the metric 'train'")
    arrays = read_arrays(path)
    for name, n_axes in (("timesteps", 1), ("results", 2)):
        if name not in arrays or arrays[name].ndim != n_axes or arrays[name].dtype.kind not in "fiu":
            raise ValueError(f"{path} is damaged: it has no {name} with {n_axes} axes")
    steps, results = arrays["timesteps"].astype(float), arrays["results"].astype(float)
    if len(steps) != len(results) or results.shape[1] == 0:
        raise ValueError(f"{path} is damaged: {len(steps)} timesteps, results of shape {results.shape}")
    values = results.mean(axis=1)
    progress = folder / "progress.csv"
    seconds = np.full(len(steps), np.nan)
    if progress.is_file():
        at, elapsed, _ = _columns(progress, _SECONDS)
        if len(at):
            seconds = np.interp(steps, at, elapsed)
    return steps, seconds, values


def _columns(path: Path, name: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(steps, seconds, values) of the rows that have a value."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} has no progress.csv")
    names = (_STEPS, _SECONDS, name)
    rows = read_columns(path, names, optional=[_SECONDS])
    kept = [row for row in rows if row[0] and row[2]]
    steps, seconds, values = (np.array([parse_number(path, row[k]) for row in kept]) for k in range(len(names)))
    return steps, seconds, values


def _episodes(folder: Path, window: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean returns of the last `window` episodes, of all monitor files in the order of time."""
    rows = []
    for path in sorted(folder.glob("*monitor.csv")):
        start = monitor_start(path, columns="r,l,t")
        if start is None:
            raise ValueError(f"{path} is damaged: it does not begin as a file of Monitor does")
        cells = read_columns(path, ("r", "l", "t"), skip=1)
        rows += [(start + parse_number(path, t), parse_number(path, r), parse_number(path, length)) for r, length, t in cells]
    if not rows:
        raise FileNotFoundError(f"{folder} has neither a progress.csv nor episodes in a monitor.csv")
    rows.sort(key=lambda row: row[0])
    times, returns, lengths = (np.array(column, float) for column in zip(*rows, strict=True))
    n = min(window, len(returns))
    sums = np.cumsum(np.concatenate([[0.0], returns]))
    return np.cumsum(lengths)[n - 1 :], times[n - 1 :] - times[0], (sums[n:] - sums[:-n]) / n


def _described(folder: Path) -> tuple[str, int | None, dict[str, Any]]:
    """(id of the environment, seed, settings) by `config.toml`; without it, by the name of the folder."""
    path = folder / "config.toml"
    if not path.exists():
        return re.sub(r"_\d+$", "", folder.resolve().name), None, {}
    config = read_toml(path)
    tables = [config.get(table, {}) for table in ("env", "run", "settings")]
    if not all(isinstance(table, dict) for table in tables) or not isinstance(tables[1].get("seed", 0), int):
        raise ValueError(f"{path} is damaged: [env], [run] and [settings] must be tables, and seed an integer")
    env, run, settings = tables
    env_id = str(env.get("id", folder.resolve().name))
    of_run = {name: run.get(name) for name in ("preset", "backend")}
    return env_id, run.get("seed"), {name: value for name, value in env.items() if name != "id"} | of_run | settings


def interquartile_mean(values: FloatArray) -> FloatArray:
    """The mean over the first axis without the lowest and the highest quarter (rounded down) of its entries."""
    n_cut = len(values) // 4
    return np.sort(values, axis=0)[n_cut : len(values) - n_cut].mean(axis=0)


def learning_curves(
    runs: Sequence[Run],
    x: Literal["steps", "time"] = "steps",
    average: Literal["iqm", "mean"] = "iqm",
    n_points: int = 200,
    confidence: float = 0.95,
    n_resamples: int = 2000,
) -> list[Curve]:
    """Curves of runs, those that differ only in their seed taken together.

    Parameters
    ----------
    runs : sequence of Run
        As `read_run` gives them.
    x : {"steps", "time"}
        Environment steps, or seconds of training.
    average : {"iqm", "mean"}
        The interquartile mean over runs, which is the mean for less than four; or the mean.
    n_points : int
        Points of a curve; runs are interpolated between theirs, from where all have begun to where the first ends. Where one ends
        before another begins, from the first point to the last, a run's first and last value held.
    confidence : float
        Of the band, between percentiles of the average over bootstrap samples of the runs.
    n_resamples : int
        Bootstrap samples; they are the same at every call.

    Returns
    -------
    list of Curve

    Raises
    ------
    ValueError
        If a run has less than two points, or no times where `x` is "time".
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(json.dumps([run.env_id, run.settings], sort_keys=True, default=str), []).append(run)
    labels = _labels([group[0] for group in groups.values()])
    return [
        _curve(label, group, x, interquartile_mean if average == "iqm" else _mean, n_points, confidence, n_resamples)
        for label, group in zip(labels, groups.values(), strict=True)
    ]


def _mean(values: FloatArray) -> FloatArray:
    return values.mean(axis=0)


def _curve(label: str, runs: Sequence[Run], x: str, average: Any, n_points: int, confidence: float, n_resamples: int) -> Curve:
    points = [_points(run, x) for run in runs]
    if len(points) == 1:
        at, values = points[0]
        return Curve(label, tuple(runs), at, values, values, values)
    start, end = max(at[0] for at, _ in points), min(at[-1] for at, _ in points)
    if start >= end:  # as with short runs by time, one of which took long to begin
        start, end = min(at[0] for at, _ in points), max(at[-1] for at, _ in points)
    grid = np.linspace(start, end, n_points)
    values = np.array([np.interp(grid, at, each) for at, each in points])
    chosen = np.random.default_rng(0).integers(0, len(runs), (n_resamples, len(runs)))
    averages = np.array([average(values[indices]) for indices in chosen])
    low, high = np.quantile(averages, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0], axis=0)
    return Curve(f"{label} ({len(runs)} seeds)", tuple(runs), grid, average(values), low, high)


def _points(run: Run, x: str) -> tuple[FloatArray, FloatArray]:
    """(x, values) of a run, in the order of x, without values that are not finite."""
    at = run.steps if x == "steps" else run.seconds
    if x == "time" and np.isnan(at).all():
        raise ValueError(f"{run.folder} does not say how long training took")
    kept = np.isfinite(at) & np.isfinite(run.values)
    if kept.sum() < 2:
        raise ValueError(f"{run.folder} has {int(kept.sum())} points; a curve takes 2")
    order = np.argsort(at[kept], kind="stable")
    return at[kept][order], run.values[kept][order]


def _labels(runs: Sequence[Run]) -> list[str]:
    """The environment of each, and the settings in which those of the same environment differ."""
    labels = []
    for run in runs:
        alike = [other for other in runs if other.env_id == run.env_id]
        names = sorted({name for other in alike for name in other.settings})
        differing = [name for name in names if len({repr(other.settings.get(name)) for other in alike}) > 1]
        words = [f"{name}={run.settings.get(name)}" for name in differing[:3]]
        labels.append(", ".join([run.env_id, *words]) if words or len(alike) == 1 else f"{run.env_id} in {run.folder.name}")
    return labels


def plot_runs(
    runs: Sequence[Run],
    x: Literal["steps", "time"] = "steps",
    average: Literal["iqm", "mean"] = "iqm",
    ylabel: str = "mean return",
    title: str | None = None,
) -> Any:
    """A picture of learning curves.

    Parameters
    ----------
    runs, x, average
        As for `learning_curves`.
    ylabel : str
        What the values are.
    title : str, optional
        Above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        `figure.savefig("curves.png")` writes it.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    figure = need("matplotlib.figure", "plot", "a picture").Figure(figsize=(7.2, 4.4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    curves = learning_curves(runs, x, average)
    for curve, colour in zip(curves, _COLOURS * math.ceil(len(curves) / len(_COLOURS)), strict=False):
        axes.plot(curve.x, curve.center, color=colour, linewidth=1.8, label=curve.label)
        if len(curve.runs) > 1:
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.2, linewidth=0)
        elif len(curve.x) <= 100:
            axes.plot(curve.x, curve.center, ".", color=colour, markersize=4)
    axes.set_xlabel("environment steps" if x == "steps" else "seconds of training")
    axes.set_ylabel(ylabel)
    axes.set_title(title or (curves[0].label if len(curves) == 1 else ""), fontsize=10, loc="left")
    if x == "steps":
        axes.xaxis.set_major_formatter(need("matplotlib.ticker", "plot").EngFormatter(sep=""))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    if len(curves) > 1:
        axes.legend(frameon=False, fontsize=9)
    if any(len(curve.runs) > 1 for curve in curves):
        name = "interquartile mean" if average == "iqm" else "mean"
        axes.set_title(f"{name} over seeds, 95 % band", fontsize=8, loc="right", color="0.4")
    return figure
