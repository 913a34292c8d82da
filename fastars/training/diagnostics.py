"""What an iteration says about itself, as rows of the log. docs/diagnostics.md says how to read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray, IntArray, NoiseArray
from fastars._runtime.threads import for_blocks

_MAX_PAIRED_TASKS = 4  # of more tasks, the cosine of each pair is too much for a log
_PARALLEL = 1 << 20  # entries of noise from which a second thread pays
_COLUMNS = 4_096  # of a thread's piece


class Estimate(NamedTuple):
    """The gradients of T tasks, from all directions with finite returns.

    Attributes
    ----------
    kept : ndarray of int64, shape (N,)
        These directions, ascending.
    differences : ndarray of float64, shape (N, T)
        D_ki = (R[k, 0, i] - R[k, 1, i]) / (2 sigma).
    squares : ndarray of float64, shape (N,)
        Squared lengths of the directions.
    gradients : ndarray of float64, shape (T, n_weights)
        (1/N) sum over k of D_ki delta_k; zeros if no direction is left.
    """

    kept: IntArray
    differences: FloatArray
    squares: FloatArray
    gradients: FloatArray


def estimate_gradients(
    ops: ModuleType,
    task_returns: FloatArray,
    noise: NoiseArray,
    sums: FloatArray,
    indices: IntArray,
    sigma: float,
    n_weights: int,
    n_threads: int = 1,
) -> Estimate:
    """Gradients of all tasks from the returns of one iteration; those of a scalar reward are `returns[:, :, np.newaxis]`.

    Parameters
    ----------
    ops : module
        `fastars.kernels` or `fastars.reference`.
    task_returns : ndarray of float64, shape (n_delta, 2, T)
        Returns of the pairs. A direction with one that is not finite is left out, for all tasks.
    noise : ndarray of float32, shape (n_noise,)
        The noise table.
    sums : ndarray of float64, shape (n_blocks,)
        `square_sums` of it.
    indices : ndarray of int64, shape (n_delta,)
        Direction k starts at noise[indices[k]].
    sigma : float
        Deviation of the noise.
    n_weights : int
        Entries of a direction.
    n_threads : int
        Threads for large sums; the bits are the same for any number.

    Returns
    -------
    Estimate
    """
    n_delta, _, n_tasks = task_returns.shape
    kept, differences = ops.task_differences(task_returns, sigma)
    starts = indices if len(kept) == n_delta else indices[kept]
    squares, gradients = ops.direction_squares(noise, sums, starts, n_weights), np.empty((n_tasks, n_weights))
    if len(kept) * n_weights < _PARALLEL or n_threads == 1:
        ops.task_gradients(differences, noise, starts, gradients)
        return Estimate(kept, differences, squares, gradients)

    def work(piece: int) -> None:
        low, high = piece * _COLUMNS, min((piece + 1) * _COLUMNS, n_weights)
        columns = np.empty((n_tasks, high - low))
        ops.task_gradients(differences, noise, starts + low, columns)
        gradients[:, low:high] = columns

    for_blocks(work, -(-n_weights // _COLUMNS), n_threads)
    return Estimate(kept, differences, squares, gradients)


class Diagnosis:
    """Turns iterations into rows of the log; remembers one gradient, which the next is compared with.

    Parameters
    ----------
    task_names : sequence of str
        Names of the tasks; none for a scalar reward.

    Attributes
    ----------
    previous : ndarray of float64, shape (n_weights,), or None
        Gradient of the last iteration that had one.
    """

    def __init__(self, task_names: Sequence[str] = ()) -> None:
        self.previous: FloatArray | None = None
        self._names = tuple(task_names)

    def rows(
        self, ops: ModuleType, estimate: Estimate, gradient: FloatArray, returns: FloatArray, sigma: float, selected: IntArray
    ) -> dict[str, float]:
        """Rows about the gradient of the reward that is maximised; NaN where a figure is undefined.

        Parameters
        ----------
        ops : module
            `fastars.kernels` or `fastars.reference`.
        estimate : Estimate
            Gradients of the tasks.
        gradient : ndarray of float64, shape (n_weights,)
            Of the weighted reward, w @ estimate.gradients; for a scalar reward estimate.gradients[0]. Kept: not to be written to.
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
        previous = self.previous if self.previous is not None else np.zeros_like(gradient)
        found = ops.diagnostics(returns, estimate.kept, estimate.squares, gradient, previous, sigma, selected)
        if len(estimate.kept) > 0:
            self.previous = gradient
        return dict(zip(_GRADIENT_ROWS, found, strict=True))

    def spread_rows(self, ops: ModuleType, returns: FloatArray, lengths: IntArray) -> dict[str, float]:
        """A row about the noise of returns: a p-value below 0.01 says that it differs from direction to direction.

        Parameters
        ----------
        ops : module
            `fastars.kernels` or `fastars.reference`.
        returns : ndarray of float64, shape (n_delta, 2, m)
            Returns of m episodes per candidate.
        lengths : ndarray of int64, shape (n_delta, 2, m)
            Their lengths.

        Returns
        -------
        dict of str to float
            "returns/het_bf_p" (`brown_forsythe`) for 4 episodes and more, else "returns/het_bp_p" (`koenker`).
        """
        if returns.shape[2] > 3:  # of 3, one is the median and 0 from it: the test found nothing
            return {"returns/het_bf_p": ops.brown_forsythe(returns)[1]}
        return {"returns/het_bp_p": ops.koenker(returns, lengths)[1]}

    def tasks(
        self, ops: ModuleType, estimate: Estimate, task_returns: FloatArray, weights: FloatArray
    ) -> tuple[Any, FloatArray, FloatArray]:
        """(diagnostics of the tasks, their Gram matrix, the same without its bias).

        Parameters
        ----------
        ops : module
            `fastars.kernels` or `fastars.reference`.
        estimate : Estimate
            Gradients of the tasks.
        task_returns : ndarray of float64, shape (n_delta, 2, T)
            As given to `estimate_gradients`.
        weights : ndarray of float64, shape (T,)
            Weights of the tasks in this iteration.
        """
        gram = ops.gram(estimate.gradients)
        debiased = ops.debiased_gram(gram, estimate.differences, estimate.squares) if len(estimate.kept) > 1 else gram
        return ops.task_diagnostics(task_returns[estimate.kept], weights, gram, debiased), gram, debiased

    def task_rows(self, found: Any, weights: FloatArray) -> dict[str, float]:
        """Rows about the tasks: each by its name, and how they stand to each other; NaN where a figure is undefined."""
        return dict(self._task_rows(found, weights))

    def _task_rows(self, found: Any, weights: FloatArray) -> Iterator[tuple[str, float]]:
        columns = (values.tolist() for values in (found.returns, weights, found.norms, found.weighted_norms, found.snr))
        for name, *values in zip(self._names, *columns, strict=True):
            for key, value in zip(_TASK_ROWS, values, strict=True):
                yield f"tasks/{name}/{key}", value
        if len(self._names) <= _MAX_PAIRED_TASKS:
            for i, j in combinations(range(len(self._names)), 2):
                yield f"tasks/cos/{self._names[i]}/{self._names[j]}", float(found.cosines[i, j])
        for key in ("conflicts", "min_cos", "min_similarity", "pareto_gap", "var_ratio"):
            yield f"tasks/{key}", getattr(found, key)


_GRADIENT_ROWS = (
    "gradient/norm",
    "gradient/norm_sq",
    "gradient/norm_debiased",
    "gradient/noise_trace",
    "gradient/snr",
    "gradient/efficiency",
    "gradient/n_eff_directions",
    "gradient/parity_ratio",
    "gradient/sigma_ratio",
    "gradient/topb_cut",
    "gradient/cos_prev",
)
_TASK_ROWS = ("return", "weight", "grad_norm", "weighted_grad_norm", "snr")
