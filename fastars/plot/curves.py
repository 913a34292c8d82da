"""Average runs to curves with bands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars._validate import number, one_of, positive_int, user_facing
from fastars.files.errors import name_of
from fastars.plot.labels import by_settings
from fastars.plot.runs import Run
from fastars.plot.solved import solved_at

Average = Literal["iqm", "mean", "median"]
_LEAST_TO_CUT = 4  # runs: of less, the interquartile mean cuts none


class Curve(NamedTuple):
    """The average of runs that differ only in their seed."""

    label: str  # the settings that tell it apart from other curves of its environment; else the folder of its first run
    runs: tuple[Run, ...]
    x: FloatArray  # (n,) environment steps, or seconds
    center: FloatArray  # (n,) the average over runs
    low: FloatArray  # (n,) lower end of the band; equal to `center` for a single run
    high: FloatArray  # (n,) upper end of the band
    average: Average = "iqm"
    confidence: float = 0.95  # probability of the band

    @property
    def env_id(self) -> str:
        """Id of the environment, as its file has it."""
        return self.runs[0].env_id

    @property
    def solved_at(self) -> float | None:
        """Return from which the environment counts as solved, if the values can be compared with it."""
        return solved_at(self.runs[0])

    @property
    def average_name(self) -> str:
        """Name of the average. The interquartile mean of less than four runs is their mean."""
        if self.average == "iqm":
            return "interquartile mean" if len(self.runs) >= _LEAST_TO_CUT else "mean"
        return self.average


class _Bootstrap(NamedTuple):
    """The average over runs, and the bootstrap that gives its band."""

    average: Average
    n_points: int
    confidence: float
    n_resamples: int

    def of(self, values: FloatArray) -> FloatArray:
        """Return the average over the first axis."""
        return _AVERAGES[self.average](values)


def interquartile_mean(values: FloatArray) -> FloatArray:
    """Return the mean over the first axis, without the lowest and the highest quarter (rounded down) of its entries."""
    n_cut = len(values) // 4
    return np.sort(values, axis=0)[n_cut : len(values) - n_cut].mean(axis=0)


def _mean(values: FloatArray) -> FloatArray:
    return values.mean(axis=0)


def _median(values: FloatArray) -> FloatArray:
    return np.median(values, axis=0)


_AVERAGES: dict[str, Callable[[FloatArray], FloatArray]] = {"iqm": interquartile_mean, "mean": _mean, "median": _median}


@user_facing
def learning_curves(
    runs: Sequence[Run],
    x: Literal["steps", "time"] = "steps",
    average: Average = "iqm",
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
    average : {"iqm", "mean", "median"}
        The interquartile mean over runs, which equals the mean for less than four runs; the mean; or the median.
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
        In the order of the first run of each group. Labels tell the curves of an environment apart.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, a run has less than two points, or a run has no times and `x` is "time".
    """
    one_of("x", x, ("steps", "time"))
    bootstrap = _Bootstrap(
        one_of("average", average, _AVERAGES),
        positive_int("n_points", n_points),
        number("confidence", confidence, below=1.0, above=0.0),
        positive_int("n_resamples", n_resamples),
    )
    return [_curve(label, group, x, bootstrap) for label, group in by_settings(runs)]


def by_environment(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    """Return the curves of each environment, by its id, in the order of the first curve of each."""
    panels: dict[str, list[Curve]] = {}
    for curve in curves:
        panels.setdefault(curve.env_id, []).append(curve)
    return panels


def _curve(label: str, runs: Sequence[Run], x: str, bootstrap: _Bootstrap) -> Curve:
    points = [_points(run, x) for run in runs]
    of = bootstrap.average, bootstrap.confidence
    if len(points) == 1:
        at, values = points[0]
        return Curve(label, tuple(runs), at, values, values, values, *of)
    start, end = max(at[0] for at, _ in points), min(at[-1] for at, _ in points)
    if start >= end:  # short runs by time, one of which began late
        start, end = min(at[0] for at, _ in points), max(at[-1] for at, _ in points)
    grid = np.linspace(start, end, bootstrap.n_points)
    values = np.array([np.interp(grid, at, each) for at, each in points])
    chosen = np.random.default_rng(0).integers(0, len(runs), (bootstrap.n_resamples, len(runs)))
    averages = np.array([bootstrap.of(values[indices]) for indices in chosen])
    tail = (1.0 - bootstrap.confidence) / 2.0
    low, high = np.quantile(averages, [tail, (1.0 + bootstrap.confidence) / 2.0], axis=0)
    return Curve(label, tuple(runs), grid, bootstrap.of(values), low, high, *of)


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
