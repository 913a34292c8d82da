"""Average runs to curves with bands."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._printable import printable
from fastars._validate import number, one_of, positive_int, user_facing
from fastars.files.errors import name_of
from fastars.plot.runs import Run

_MAX_LABEL = 80  # characters: a folder from another person may have any text for an environment, and a picture has no room


class Curve(NamedTuple):
    """The average of runs that differ only in their seed."""

    label: str
    runs: tuple[Run, ...]
    x: FloatArray  # (n,) environment steps, or seconds
    center: FloatArray  # (n,) mean or interquartile mean over runs
    low: FloatArray  # (n,) lower end of the band; equal to `center` for a single run
    high: FloatArray  # (n,) upper end of the band


class _Bootstrap(NamedTuple):
    """The average over runs, and the bootstrap that gives its band."""

    average: Callable[[FloatArray], FloatArray]
    n_points: int
    confidence: float
    n_resamples: int


def interquartile_mean(values: FloatArray) -> FloatArray:
    """Return the mean over the first axis, without the lowest and the highest quarter (rounded down) of its entries."""
    n_cut = len(values) // 4
    return np.sort(values, axis=0)[n_cut : len(values) - n_cut].mean(axis=0)


@user_facing
def learning_curves(
    runs: Sequence[Run],
    x: Literal["steps", "time"] = "steps",
    average: Literal["iqm", "mean"] = "iqm",
    n_points: int = 200,
    confidence: float = 0.95,
    n_resamples: int = 2000,
) -> list[Curve]:
    """Return one curve for each group of runs that differ only in their seed.

    Parameters
    ----------
    runs : sequence of Run
        Runs that `read_run` returned.
    x : {"steps", "time"}
        Environment steps, or seconds of training.
    average : {"iqm", "mean"}
        The interquartile mean over runs, which equals the mean for less than four runs; or the mean.
    n_points : int
        Number of points of a curve. Runs are interpolated from the point where all of them have begun to the point where the first
        of them ends. If a run ends before another one begins, the curve goes from the first point of any run to the last, and each
        run keeps its first value before its first point and its last value after its last point.
    confidence : float
        Probability of the band, above 0 and below 1: it is between percentiles of the average over bootstrap samples of the runs.
    n_resamples : int
        Number of bootstrap samples, which are the same at every call.

    Returns
    -------
    list of Curve
        In the order of the first run of each group.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, a run has less than two points, or a run has no times and `x` is "time".
    """
    one_of("x", x, ("steps", "time"))
    bootstrap = _Bootstrap(
        interquartile_mean if one_of("average", average, ("iqm", "mean")) == "iqm" else _mean,
        positive_int("n_points", n_points),
        number("confidence", confidence, below=1.0, above=0.0),
        positive_int("n_resamples", n_resamples),
    )
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(json.dumps([run.env_id, run.settings], sort_keys=True, default=str), []).append(run)
    labels = _labels([group[0] for group in groups.values()])
    return [_curve(label, group, x, bootstrap) for label, group in zip(labels, groups.values(), strict=True)]


def _mean(values: FloatArray) -> FloatArray:
    return values.mean(axis=0)


def _curve(label: str, runs: Sequence[Run], x: str, bootstrap: _Bootstrap) -> Curve:
    points = [_points(run, x) for run in runs]
    if len(points) == 1:
        at, values = points[0]
        return Curve(label, tuple(runs), at, values, values, values)
    start, end = max(at[0] for at, _ in points), min(at[-1] for at, _ in points)
    if start >= end:  # short runs by time, one of which began late
        start, end = min(at[0] for at, _ in points), max(at[-1] for at, _ in points)
    grid = np.linspace(start, end, bootstrap.n_points)
    values = np.array([np.interp(grid, at, each) for at, each in points])
    chosen = np.random.default_rng(0).integers(0, len(runs), (bootstrap.n_resamples, len(runs)))
    averages = np.array([bootstrap.average(values[indices]) for indices in chosen])
    tail = (1.0 - bootstrap.confidence) / 2.0
    low, high = np.quantile(averages, [tail, (1.0 + bootstrap.confidence) / 2.0], axis=0)
    return Curve(f"{label} ({len(runs)} seeds)", tuple(runs), grid, bootstrap.average(values), low, high)


def _points(run: Run, x: str) -> tuple[FloatArray, FloatArray]:
    """Return (x, values) of a run in the order of x, without values that are not finite."""
    at = run.steps if x == "steps" else run.seconds
    if x == "time" and np.isnan(at).all():
        raise ValueError(f"{name_of(run.folder)} has no times of training: x must be 'steps', got 'time'")
    kept = np.isfinite(at) & np.isfinite(run.values)
    if kept.sum() < 2:
        raise ValueError(f"{name_of(run.folder)} has {int(kept.sum())} points; a curve needs at least 2")
    order = np.argsort(at[kept], kind="stable")
    return at[kept][order], run.values[kept][order]


def _labels(runs: Sequence[Run]) -> list[str]:
    """Return for each run its environment, and the settings in which the runs of this environment differ."""
    labels = []
    for run in runs:
        alike = [other for other in runs if other.env_id == run.env_id]
        names = sorted({name for other in alike for name in other.settings})
        differing = [name for name in names if len({repr(other.settings.get(name)) for other in alike}) > 1]
        words = [f"{name}={run.settings.get(name)}" for name in differing[:3]]
        label = ", ".join([run.env_id, *words]) if words or len(alike) == 1 else f"{run.env_id} in {run.folder.name}"
        labels.append(printable(label if len(label) <= _MAX_LABEL else f"{label[:_MAX_LABEL]} ..."))
    return labels
