"""Average the results of runs with several seeds, with an interval.

As Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice" (arXiv 2108.13264) recommend: the
interquartile mean, and the percentiles of it over stratified bootstrap samples of the runs.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastars._compiled.structs import FloatArray
from fastars._validate import number, one_of, positive_int, user_facing
from fastars.plot.curves import interquartile_mean


class Score(NamedTuple):
    """An average over runs."""

    center: float
    low: float  # lower end of its interval
    high: float  # upper end of its interval


@user_facing
def score_interval(
    returns: ArrayLike, average: Literal["iqm", "mean"] = "iqm", confidence: float = 0.95, n_resamples: int = 10_000
) -> Score:
    """Return the average of the results of several seeds, with its bootstrap interval.

    Parameters
    ----------
    returns : array_like of float, shape (n_seeds,) or (n_seeds, n_tasks)
        A result of each run. Results of several tasks are averaged together, so they must have one scale.
    average : {"iqm", "mean"}
        The interquartile mean: the mean without the lowest and the highest quarter of all results; or the mean.
    confidence : float
        Probability of the interval, above 0 and below 1.
    n_resamples : int
        Number of bootstrap samples, which are the same at every call. A sample draws as many seeds as there are, for each task by
        itself: the tasks are the strata.

    Returns
    -------
    Score
        The ends of the interval are percentiles of the average over the samples. For a single seed they are the average.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, or a result is not finite.

    Examples
    --------
    >>> from fastars.plot import score_interval
    >>> score_interval([500.0, 500.0, 480.0, 120.0]).center
    490.0
    """
    values = _results(returns)
    aggregate = _iqm if one_of("average", average, ("iqm", "mean")) == "iqm" else _mean
    tail = (1.0 - number("confidence", confidence, below=1.0, above=0.0)) / 2.0
    n_seeds, n_tasks = values.shape
    shape = positive_int("n_resamples", n_resamples), n_seeds, n_tasks
    chosen = np.random.default_rng(0).integers(0, n_seeds, shape)
    averages = aggregate(values[chosen, np.arange(n_tasks)].reshape(n_resamples, -1))
    low, high = np.quantile(averages, [tail, 1.0 - tail])
    return Score(float(aggregate(values.reshape(1, -1))[0]), float(low), float(high))


def _results(returns: ArrayLike) -> FloatArray:
    """Return the results as an array (n_seeds, n_tasks)."""
    try:
        values = np.array(returns, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"returns must be numbers, one for each seed, got {returns!r:.100}") from None
    if values.ndim not in (1, 2) or not values.size:
        raise ValueError(f"returns must have the shape (n_seeds,) or (n_seeds, n_tasks), got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"returns must be finite, got {values[~np.isfinite(values)][0]}")
    return values.reshape(len(values), -1)


def _iqm(samples: FloatArray) -> FloatArray:
    """Return the interquartile mean of each row."""
    return interquartile_mean(samples.T)


def _mean(samples: FloatArray) -> FloatArray:
    return samples.mean(axis=1)
