"""Diagnostics of an iteration: how well its directions determine the gradient, and how its tasks relate to each other.

Symbols: delta_k are the N directions with finite returns, d = n_weights, q_k = |delta_k|^2, d_k = (R[k, 0] - R[k, 1]) / (2 sigma),
g = (1/N) sum over k of d_k delta_k and S2 = sum over k of d_k^2 q_k. Of T tasks, g_i is the gradient, n_i its debiased norm,
G_ij = g_i . g_j and M = `debiased_gram(G, ...)`.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.jit import kernel
from fastars.kernels.norms import norm, norm_sq, ratio
from fastars.kernels.quadratic import mgda
from fastars.kernels.selection import return_std


class Diagnostics(NamedTuple):
    """Quality of the gradient estimate of one iteration; NaN where a figure is undefined.

    Attributes
    ----------
    grad_norm, grad_norm_sq : float
        |g| and |g|^2: too large by the noise of N directions in d dimensions.
    grad_norm_sq_debiased : float
        (N^2 |g|^2 - S2) / (N (N - 1)), an unbiased estimate of the square of the true norm, which may be negative.
    noise_trace : float
        (S2 - N |g|^2) / (N (N - 1)), an unbiased estimate of the summed variance of g.
    snr : float
        sqrt(max(0, grad_norm_sq_debiased) / noise_trace); sqrt(N / (d + 1)) for a linear return without noise.
    efficiency : float
        grad_norm_sq_debiased / noise_trace (d + 1) / N; 1 for a linear return without noise, less where noise or curvature
        dominates. May be negative.
    n_eff_dirs : float
        (sum |d_k|)^2 / sum d_k^2; about 0.64 N, 1 where one lucky direction dominates.
    even_part : float
        Var(R+ + R-) / (Var(R+ + R-) + Var(R+ - R-)) over the directions; 1/2 for noise alone. Above 1/2 means curvature, so
        sigma is too large, or noise that the two candidates of a pair share.
    slope_part : float
        sigma^2 grad_norm_sq_debiased / sigma_R^2, sigma_R the deviation of the 2N returns: the part of their variance that comes
        from the slope. About 1, less with noise; may be negative.
    topb_cut : float
        Score of the worst selected direction / best score. Near 1, the choice of the top b is arbitrary.
    cos_prev : float
        Cosine of g and the gradient of the iteration before; 1 / (1 + (d + 1) / N) for the same linear return twice.
    """

    grad_norm: Any
    grad_norm_sq: Any
    grad_norm_sq_debiased: Any
    noise_trace: Any
    snr: Any
    efficiency: Any
    n_eff_dirs: Any
    even_part: Any
    slope_part: Any
    topb_cut: Any
    cos_prev: Any


class TaskDiagnostics(NamedTuple):
    """Relations between T tasks in one iteration; NaN where a figure is undefined.

    Attributes
    ----------
    returns, stds : ndarray of float64, shape (T,)
        Mean and population deviation of the 2N returns.
    norms_sq, weighted_norms_sq : ndarray of float64, shape (T,)
        M_ii, which may be negative, and w_i^2 M_ii. n_i = sqrt(max(0, M_ii)).
    noise_traces : ndarray of float64, shape (T,)
        G_ii - M_ii, the summed variance of g_i.
    snr : ndarray of float64, shape (T,)
        n_i / sqrt(G_ii - M_ii).
    products : ndarray of float64, shape (T, T)
        M.
    cosines : ndarray of float64, shape (T, T)
        M_ij / (n_i n_j), between -1 and 1.
    similarities : ndarray of float64, shape (T, T)
        2 n_i n_j / (n_i^2 + n_j^2), 1 for gradients of one size (Yu et al. 2020, "Gradient surgery", definition 2).
    conflicts : float
        Number of pairs of tasks with a negative cosine.
    min_cos, min_similarity : float
        The smallest among all pairs of tasks.
    pareto_gap : float
        Length of the shortest convex combination of the gradients / mean n_i; 0 where no step serves all tasks. Its weights are
        `mgda(G)`, since M may be indefinite; its length is computed from M.
    var_ratio : float
        Largest / smallest deviation among the tasks: the ratio of their scales.
    """

    returns: Any
    stds: Any
    norms_sq: Any
    weighted_norms_sq: Any
    noise_traces: Any
    snr: Any
    products: Any
    cosines: Any
    similarities: Any
    conflicts: Any
    min_cos: Any
    min_similarity: Any
    pareto_gap: Any
    var_ratio: Any


@kernel
def diagnostics(returns, kept, squares, gradient_all, previous, sigma, selected):
    """Compute the diagnostics of an iteration from all its directions with two finite returns.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs.
    kept : ndarray of int64, shape (N,)
        The directions with two finite returns.
    squares : ndarray of float64, shape (N,)
        q of the module's docstring.
    gradient_all : ndarray of float64, shape (n_weights,)
        g of the module's docstring.
    previous : ndarray of float64, shape (n_weights,)
        g of the iteration before; zeros in the first one.
    sigma : float
        Deviation of the noise (`delta_std`).
    selected : ndarray of int64, shape (b,)
        Directions used for the step.

    Returns
    -------
    Diagnostics
    """
    n, n_weights = kept.shape[0], gradient_all.shape[0]
    largest = 0.0
    for i in kept:
        largest = max(largest, abs(returns[i, 0]), abs(returns[i, 1]))
    # Most figures are ratios: in units of a power of two near the largest return, their squares stay in the range of float64.
    unit = math.ldexp(1.0, math.frexp(largest)[1] - 1)
    s2, absolute, d_sq, even, odd, best = 0.0, 0.0, 0.0, 0.0, 0.0, -np.inf
    for k in range(n):
        plus, minus = returns[kept[k], 0] / unit, returns[kept[k], 1] / unit
        d = (plus - minus) / (2.0 * sigma)
        s2 += d * d * squares[k]
        absolute += abs(d)
        d_sq += d * d
        even += plus + minus
        odd += plus - minus
        best = max(best, plus, minus)
    even_sq, odd_sq = 0.0, 0.0
    for i in kept:
        plus, minus = returns[i, 0] / unit, returns[i, 1] / unit
        even_sq += (plus + minus - even / n) * (plus + minus - even / n)
        odd_sq += (plus - minus - odd / n) * (plus - minus - odd / n)
    cut = np.inf
    for i in selected:
        cut = min(cut, max(returns[i, 0], returns[i, 1]) / unit)
    grad_norm = norm(gradient_all)
    g_sq = (grad_norm / unit) * (grad_norm / unit)
    debiased = trace = np.nan
    if n > 1:
        debiased = (n * n * g_sq - s2) / (n * (n - 1.0))
        trace = max(0.0, (s2 - n * g_sq) / (n * (n - 1.0)))
    clipped = 0.0 if debiased < 0.0 else debiased  # NaN stays NaN
    deviation = return_std(returns, kept, 0) / unit
    return Diagnostics(
        grad_norm,
        grad_norm * grad_norm,
        debiased * unit * unit,
        trace * unit * unit,
        math.sqrt(ratio(clipped, trace)),
        ratio(debiased, trace) * (n_weights + 1.0) / max(n, 1),
        ratio(absolute * absolute, d_sq),
        ratio(even_sq, even_sq + odd_sq) if n > 1 else np.nan,
        ratio(sigma * sigma * debiased, deviation * deviation),
        ratio(cut, best) if selected.shape[0] > 0 else np.nan,
        _cosine(gradient_all, previous, grad_norm, norm(previous)),
    )


@kernel
def _cosine(x, y, x_norm, y_norm):
    """Return the cosine of two vectors; NaN if one has no length. As 1 - |x / |x| - y / |y||^2 / 2, it overflows at no scale."""
    if not (0.0 < x_norm < np.inf and 0.0 < y_norm < np.inf):
        return np.nan
    difference = np.empty(x.shape[0])
    for k in range(x.shape[0]):
        difference[k] = x[k] / x_norm - y[k] / y_norm
    return 1.0 - 0.5 * norm_sq(difference)


@kernel
def task_diagnostics(task_returns, weights, gram, debiased):
    """Compute the diagnostics of the tasks of an iteration from all its directions with finite returns.

    Parameters
    ----------
    task_returns : ndarray of float64, shape (N, 2, T)
        Returns of the pairs, a column per task; all finite.
    weights : ndarray of float64, shape (T,)
        w, the weights of the tasks.
    gram, debiased : ndarray of float64, shape (T, T)
        G and M of the module's docstring.

    Returns
    -------
    TaskDiagnostics
    """
    n, _, n_tasks = task_returns.shape
    means, stds = _means_and_stds(task_returns)
    norms, norms_sq, weighted_norms_sq = np.empty(n_tasks), np.empty(n_tasks), np.empty(n_tasks)
    noise_traces, snr, products = np.empty(n_tasks), np.empty(n_tasks), np.full((n_tasks, n_tasks), np.nan)
    for i in range(n_tasks):
        norms_sq[i] = debiased[i, i] if n > 1 else np.nan
        noise_traces[i] = max(0.0, gram[i, i] - debiased[i, i]) if n > 1 else np.nan
        weighted_norms_sq[i] = weights[i] * weights[i] * norms_sq[i]
        norms[i] = math.sqrt(max(0.0, debiased[i, i])) if n > 1 else np.nan
        snr[i] = ratio(norms[i], math.sqrt(noise_traces[i]))
    cosines, similarities = np.full((n_tasks, n_tasks), np.nan), np.full((n_tasks, n_tasks), np.nan)
    conflicts, min_cos, min_similarity = 0.0, np.inf, np.inf
    for i in range(n_tasks):
        for j in range(n_tasks):
            if n > 1:
                products[i, j] = debiased[i, j]
            if norms[i] > 0.0 and norms[j] > 0.0:
                cosines[i, j] = min(1.0, max(-1.0, debiased[i, j] / norms[i] / norms[j]))
                similarities[i, j] = 2.0 / (norms[i] / norms[j] + norms[j] / norms[i])
                if i < j:
                    conflicts += cosines[i, j] < 0.0
                    min_cos, min_similarity = min(min_cos, cosines[i, j]), min(min_similarity, similarities[i, j])
    return TaskDiagnostics(
        means,
        stds,
        norms_sq,
        weighted_norms_sq,
        noise_traces,
        snr,
        products,
        cosines,
        similarities,
        conflicts if n > 1 else np.nan,
        min_cos if min_cos < np.inf else np.nan,
        min_similarity if min_cos < np.inf else np.nan,
        _pareto_gap(gram, debiased, norms) if n > 1 else np.nan,
        ratio(stds.max(), stds.min()) if n > 0 else np.nan,
    )


@kernel
def _means_and_stds(task_returns):
    """Return the mean and the population deviation of each task's returns; NaN without directions."""
    n, _, n_tasks = task_returns.shape
    means, stds = np.empty(n_tasks), np.empty(n_tasks)
    everyone, own = np.arange(n), np.empty((n, 2))
    for i in range(n_tasks):
        total = 0.0
        for k in range(n):
            own[k, 0], own[k, 1] = task_returns[k, 0, i], task_returns[k, 1, i]
            total += own[k, 0] + own[k, 1]
        means[i] = ratio(total, 2.0 * n)
        stds[i] = return_std(own, everyone, 0) if n > 0 else np.nan
    return means, stds


@kernel
def _pareto_gap(gram, debiased, norms):
    """Return sqrt(max(0, w'Mw)) / mean n_i with w = mgda(G)."""
    weights = mgda(gram)
    square, total = 0.0, 0.0
    for i in range(norms.shape[0]):
        total += norms[i]
        for j in range(norms.shape[0]):
            square += weights[i] * weights[j] * debiased[i, j]
    return ratio(math.sqrt(max(0.0, square)), total / norms.shape[0])
