"""Measure how far the gradient of an iteration can be trusted, as rows of the log (docs/diagnostics.md explains the rows)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray, IntArray, NoiseArray

_MAX_PAIRED_TASKS = 4  # of more tasks, the cosine of each pair is too much for a log


class Pairs(NamedTuple):
    """The pairs with finite returns for all T tasks, measured before their directions are summed.

    Attributes
    ----------
    kept : ndarray of int64, shape (N,)
        Indices of their directions, ascending.
    differences : ndarray of float64, shape (N, T)
        D_ki = (R[k, 0, i] - R[k, 1, i]) / (2 sigma).
    squares : ndarray of float64, shape (N,)
        Squared lengths of the directions.
    """

    kept: IntArray
    differences: FloatArray
    squares: FloatArray


def measure_pairs(
    backend: ModuleType,
    task_returns: FloatArray,
    noise: NoiseArray,
    sums: FloatArray,
    indices: IntArray,
    sigma: float,
    n_weights: int,
) -> Pairs:
    """Measure the pairs of one iteration with finite returns.

    A scalar reward is one task, `returns[:, :, np.newaxis]`.

    Parameters
    ----------
    backend : module
        `fastars.kernels` or `fastars.reference`.
    task_returns : ndarray of float64, shape (n_delta, 2, T)
        Returns of the pairs. A direction with a return that is not finite is left out, for all tasks.
    noise : ndarray of float32, shape (n_noise,)
        The noise table.
    sums : ndarray of float64, shape (n_blocks,)
        `square_sums` of the noise table.
    indices : ndarray of int64, shape (n_delta,)
        Direction k starts at noise[indices[k]].
    sigma : float
        Deviation of the noise.
    n_weights : int
        Entries of a direction.
    """
    kept, differences = backend.task_differences(task_returns, sigma)
    starts = indices if len(kept) == len(indices) else indices[kept]
    return Pairs(kept, differences, backend.direction_squares(noise, sums, starts, n_weights))


class TaskDiagnosis(NamedTuple):
    """The tasks of one iteration, measured by their gradients."""

    found: Any  # of `task_diagnostics`
    gram: FloatArray  # (T, T), of the gradients
    debiased: FloatArray  # (T, T), without the bias of N random directions


def gradient_rows(
    backend: ModuleType,
    pairs: Pairs,
    gradient: FloatArray,
    previous: FloatArray | None,
    returns: FloatArray,
    sigma: float,
    selected: IntArray,
) -> dict[str, float]:
    """Return rows about the gradient of the reward that is maximised; NaN where a figure is undefined.

    Parameters
    ----------
    backend : module
        `fastars.kernels` or `fastars.reference`.
    pairs : Pairs
        The pairs that the gradient follows from.
    gradient : ndarray of float64, shape (n_weights,)
        Gradient of the weighted reward.
    previous : ndarray of float64, shape (n_weights,), or None
        Gradient of the last iteration that had one.
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, weighted.
    sigma : float
        Deviation of the noise.
    selected : ndarray of int64, shape (b,)
        Directions used for the step.

    Returns
    -------
    dict of str to float
    """
    before = np.zeros_like(gradient) if previous is None else previous
    found = backend.diagnostics(returns, pairs.kept, pairs.squares, gradient, before, sigma, selected)
    return dict(zip(_GRADIENT_ROWS, found, strict=True))


def spread_rows(backend: ModuleType, returns: FloatArray, common: bool) -> dict[str, float]:
    """Return a row about the noise of returns: a p-value below 0.01 means that it differs from direction to direction.

    Parameters
    ----------
    backend : module
        `fastars.kernels` or `fastars.reference`.
    returns : ndarray of float64, shape (n_delta, 2, m)
        Returns of m episodes per candidate.
    common : bool
        True if both candidates of a direction have the same noise.

    Returns
    -------
    dict of str to float
        "returns/het_spread_p" (`spread_test`) for 4 episodes and more, without `common` for 2 and more; else "returns/het_slope_p"
        (`slope_test`).
    """
    if returns.shape[2] >= (4 if common else 2):
        return {"returns/het_spread_p": backend.spread_test(returns, common)[1]}
    return {"returns/het_slope_p": backend.slope_test(returns)[1]}


def diagnose_tasks(
    backend: ModuleType, pairs: Pairs, gradients: FloatArray, task_returns: FloatArray, weights: FloatArray
) -> TaskDiagnosis:
    """Measure the tasks by their gradients.

    Parameters
    ----------
    backend : module
        `fastars.kernels` or `fastars.reference`.
    pairs : Pairs
        The pairs that the gradients follow from.
    gradients : ndarray of float64, shape (T, n_weights)
        (1/N) sum over k of D_ki delta_k; zeros if no direction is left.
    task_returns : ndarray of float64, shape (n_delta, 2, T)
        As given to `measure_pairs`.
    weights : ndarray of float64, shape (T,)
        Weights of the tasks in this iteration.
    """
    gram = backend.gram(gradients)
    debiased = backend.debiased_gram(gram, pairs.differences, pairs.squares) if len(pairs.kept) > 1 else gram
    return TaskDiagnosis(backend.task_diagnostics(task_returns[pairs.kept], weights, gram, debiased), gram, debiased)


def task_rows(names: Sequence[str], found: Any, weights: FloatArray) -> dict[str, float]:
    """Return rows about each task by its name, and about the tasks together; NaN where a figure is undefined."""
    return dict(_task_rows(names, found, weights))


def _task_rows(names: Sequence[str], found: Any, weights: FloatArray) -> Iterator[tuple[str, float]]:
    measured = found.returns, weights, found.norms_sq, found.weighted_norms_sq, found.noise_traces, found.snr
    columns = (values.tolist() for values in measured)
    for name, *values in zip(names, *columns, strict=True):
        for key, value in zip(_TASK_ROWS, values, strict=True):
            yield f"tasks/{name}/{key}", value
    if len(names) <= _MAX_PAIRED_TASKS:
        for i, j in combinations(range(len(names)), 2):
            yield f"tasks/product/{names[i]}/{names[j]}", float(found.products[i, j])
            yield f"tasks/cos/{names[i]}/{names[j]}", float(found.cosines[i, j])
    for key in ("conflicts", "min_cos", "min_similarity", "pareto_gap", "var_ratio"):
        yield f"tasks/{key}", getattr(found, key)


_GRADIENT_ROWS = (
    "gradient/norm",
    "gradient/norm_sq",
    "gradient/norm_sq_debiased",
    "gradient/noise_trace",
    "gradient/snr",
    "gradient/efficiency",
    "gradient/n_eff_directions",
    "gradient/even_part",
    "gradient/slope_part",
    "gradient/topb_cut",
    "gradient/cos_prev",
)
_TASK_ROWS = ("return", "weight", "grad_norm_sq", "weighted_grad_norm_sq", "noise_trace", "snr")
