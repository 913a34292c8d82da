"""Evidence about the tasks of a run: decaying averages, and tasks without a measurable gradient.

Symbols: T tasks, N directions, d weights of the policy; J_i the mean return of task i, g_i the estimate of its gradient, and M the
Gram matrix of these gradients without the bias that N random directions in d dimensions bring (`kernels.debiased_gram`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray, IntArray
from fastars._validate import MOST_INT64

# The memory of an average is 1 / (1 - decay) iterations.
DECAY = 0.9  # of returns and Gram matrices: a single matrix is mostly noise where d is far above N
LONG_DECAY = 0.95  # of the evidence that a task has a gradient at all
_PATIENCE = 20  # iterations before a task without a measurable gradient is left out

# Thresholds for the square of an averaged gradient, in standard deviations of pure noise. Below the first a task is lost, above the
# second it takes part again; two thresholds, so that a task does not come and go. A linear return without noise has 6 at N = 8,
# d = 10, and 0.5 at N = 8, d = 4,500. Where a linear return would have less than the third threshold, noise and gradient look the
# same, and no task is left out. The other way round, weak tasks were found late: the camera of the rover in `examples/experiments`
# was then 0.019 rad off instead of 0.012.
_LOST, _FOUND, _POWER = 1.0, 2.0, 5.0
_LEAST_SQUARE = 1e-290  # of a gradient that counts: smaller squares lose digits


class Evidence(NamedTuple):
    """The finite pairs of one iteration, seen as evidence about the tasks."""

    returns: FloatArray  # (T,), means
    stds: FloatArray  # (T,), deviations of the returns
    gram: FloatArray  # (T, T), of the estimated gradients
    debiased: FloatArray  # (T, T), M; the same as `gram` for a single pair
    n_directions: int
    n_weights: int

    @property
    def is_finite(self) -> bool:
        """True if no number overflowed, which the squares of very large returns do."""
        return _are_finite(self[:4])


class Averages(NamedTuple):
    """Sums over the iterations of a run, weighted by decay ** age."""

    n_updates: int
    quiet: IntArray  # (T,), iterations in a row without a measurable gradient
    first: FloatArray  # (T,), mean returns of the first iteration
    best: FloatArray  # (T,), best mean returns so far
    scale: FloatArray  # (T,), regret of the first iteration, the unit of all later ones
    returns: FloatArray  # (T,)
    stds: FloatArray  # (T,)
    debiased: FloatArray  # (T, T)
    raw: FloatArray  # (T,), squares of the gradients with their bias
    signal: FloatArray  # (T,), squares without their bias, with the longer memory
    noise: FloatArray  # (T,), squares with their bias, with the longer memory

    def after(self, evidence: Evidence) -> Averages:
        """Return the averages after one more iteration. The caller then sets `quiet`, and after the first iteration `scale`."""
        is_first = self.n_updates == 0
        square = np.diag(evidence.gram)
        return self._replace(
            n_updates=min(self.n_updates + 1, MOST_INT64),
            first=evidence.returns.copy() if is_first else self.first,
            best=evidence.returns.copy() if is_first else np.maximum(self.best, evidence.returns),
            returns=DECAY * self.returns + evidence.returns,
            stds=DECAY * self.stds + evidence.stds,
            debiased=DECAY * self.debiased + evidence.debiased,
            raw=DECAY * self.raw + square,
            signal=LONG_DECAY * self.signal + np.diag(evidence.debiased),
            noise=LONG_DECAY * self.noise + square,
        )

    @property
    def is_finite(self) -> bool:
        """True if no sum overflowed."""
        return _are_finite(self[2:])

    @property
    def total(self) -> float:
        """Sum of the weights decay ** age, by which the sums are divided."""
        return (1.0 - DECAY**self.n_updates) / (1.0 - DECAY)


def no_averages(n_tasks: int) -> Averages:
    """Return the averages before the first iteration."""
    vectors = [np.zeros(n_tasks) for _ in range(8)]
    first, best, scale, returns, stds, raw, signal, noise = vectors
    debiased = np.zeros((n_tasks, n_tasks))
    return Averages(0, np.zeros(n_tasks, np.int64), first, best, scale, returns, stds, debiased, raw, signal, noise)


def count_quiet(averages: Averages, evidence: Evidence) -> IntArray:
    """Count the iterations in a row in which the gradient of each task can't be told from noise."""
    signal, noise = averages.signal, averages.noise
    deviation = _deviation(averages.n_updates, LONG_DECAY, evidence)
    above = np.divide(signal, noise * deviation, out=np.zeros_like(signal), where=noise > 0.0)
    quiet = np.where(above < _LOST, averages.quiet + 1, np.where(above > _FOUND, 0, averages.quiet))
    of_linear_return = evidence.n_directions / (evidence.n_directions + evidence.n_weights + 1.0)
    return np.where(of_linear_return >= _POWER * deviation, quiet, 0)


def lost_tasks(averages: Averages, masked: np.ndarray) -> np.ndarray:
    """Return True for each task that takes no part in the balancing; `masked` are the tasks that took none before."""
    quiet = averages.quiet
    return (quiet > 0) & (masked | (quiet >= _PATIENCE)) | (averages.noise < _LEAST_SQUARE)


def floored_gram(averages: Averages, evidence: Evidence) -> FloatArray:
    """Return the averaged Gram matrix, in which no gradient is shorter than the shortest that can be told from noise.

    A square without its bias may even be negative, and a task of pure noise would get all the weight before it is found out.
    """
    raw = averages.raw / averages.total
    floored = averages.debiased / averages.total
    least = _deviation(averages.n_updates, DECAY, evidence) * raw
    np.fill_diagonal(floored, np.maximum(np.diag(floored), np.maximum(least, 1e-8 * raw.max(initial=0.0))))
    return floored


def _are_finite(arrays: Iterable[FloatArray]) -> bool:
    """Return True if all numbers of some small arrays are finite: one look at all of them takes 4 us, one at each 20."""
    return bool(np.isfinite(np.concatenate([array.ravel() for array in arrays])).all())


def _deviation(n: int, decay: float, evidence: Evidence) -> float:
    """Return the deviation of the averaged square of a gradient of pure noise, relative to the square with its bias.

    It is sqrt(2 / d) in one iteration of many directions. An average over n iterations, weighted by decay ** age, has less.
    """
    mean_square = (1.0 - decay ** (2 * n)) / (1.0 - decay**2) * ((1.0 - decay) / (1.0 - decay**n)) ** 2
    return math.sqrt(2.0 / evidence.n_weights * mean_square)
