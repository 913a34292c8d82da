"""Diagnostics of an iteration: how well its directions determine the gradient, and how its tasks relate to each other.

Symbols: delta_k are the N directions with finite returns, d = n_weights, q_k = |delta_k|^2, d_k = (R[k, 0] - R[k, 1]) / (2 sigma),
g = (1/N) sum over k of d_k delta_k and S2 = sum over k of d_k^2 q_k. Of T tasks, g_i is the gradient, n_i its debiased norm,
G_ij = g_i . g_j and M = `debiased_gram(G, ...)`.
"""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from .norms import norm, norm_sq
from .quadratic import mgda
from .selection import return_std


class Diagnostics(NamedTuple):
    """Quality of the gradient estimate of one iteration; NaN where a figure is undefined."""

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
    """Relations between T tasks in one iteration; NaN where a figure is undefined."""

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


def diagnostics(returns, kept, squares, gradient_all, previous, sigma, selected):
    """Compute the diagnostics of an iteration; `kept` are the directions with finite returns, `selected` the top directions.

    For a linear return without noise: snr = sqrt(N / (d + 1)), efficiency = 1, n_eff_dirs = 0.64 N, even_part = 0 and
    slope_part = 1.
    """
    n, n_weights = len(kept), len(gradient_all)
    # Most figures are ratios: in units of a power of two near the largest return, their squares stay in the range of float64.
    unit = math.ldexp(1.0, math.frexp(np.abs(returns[kept]).max(initial=0.0))[1] - 1)
    pairs = (returns[kept] / unit).tolist()
    d = [(p - m) / (2.0 * sigma) for p, m in pairs]
    grad_norm = norm(gradient_all)
    g_sq = (grad_norm / unit) * (grad_norm / unit)
    s2 = _sum(a * a * q for a, q in zip(d, squares.tolist(), strict=True))
    if n > 1:
        debiased = (n * n * g_sq - s2) / (n * (n - 1.0))
        trace = max(0.0, (s2 - n * g_sq) / (n * (n - 1.0)))
    else:
        debiased = trace = math.nan
    even, odd = (_deviation_sq([p + s * m for p, m in pairs]) if n > 1 else math.nan for s in (1.0, -1.0))
    deviation = return_std(returns, kept, 0) / unit
    absolute = _sum(abs(a) for a in d)
    best = max((max(pair) for pair in pairs), default=math.nan)
    cut = min((float(returns[i].max()) / unit for i in selected), default=math.nan)
    return Diagnostics(
        grad_norm=grad_norm,
        grad_norm_sq=grad_norm * grad_norm,
        grad_norm_sq_debiased=debiased * unit * unit,
        noise_trace=trace * unit * unit,
        snr=math.sqrt(_ratio(_clipped(debiased), trace)),
        efficiency=_ratio(debiased, trace) * (n_weights + 1.0) / max(n, 1),
        n_eff_dirs=_ratio(absolute * absolute, _sum(a * a for a in d)),
        even_part=_ratio(even, even + odd),
        slope_part=_ratio(sigma * sigma * debiased, deviation * deviation),
        topb_cut=_ratio(cut, best),
        cos_prev=_cosine(gradient_all, previous),
    )


def task_diagnostics(task_returns, weights, gram, debiased):
    """Compute the diagnostics of T tasks from their returns (N, 2, T), their weights, and G and M, (T, T)."""
    n, _, n_tasks = task_returns.shape
    everyone, undefined = np.arange(n), np.full(n_tasks, math.nan)
    means = np.array([_ratio(_sum(own.ravel().tolist()), 2 * n) for own in np.moveaxis(task_returns, 2, 0)])
    stds = np.array([return_std(own, everyone, 0) for own in np.moveaxis(task_returns, 2, 0)]) if n else undefined
    norms_sq = np.diag(debiased).copy() if n > 1 else undefined
    noise = np.maximum(np.diag(gram - debiased), 0.0) if n > 1 else undefined
    norms = np.sqrt(np.maximum(norms_sq, 0.0))
    cosines, similarities = np.full((2, n_tasks, n_tasks), math.nan)
    for i, j in itertools.product(np.flatnonzero(norms > 0), repeat=2):
        cosines[i, j] = min(1.0, max(-1.0, debiased[i, j] / norms[i] / norms[j]))
        similarities[i, j] = 2 / (norms[i] / norms[j] + norms[j] / norms[i])
    pairs = np.stack([cosines, similarities])[:, *np.triu_indices(n_tasks, 1)]
    pairs = pairs[:, np.isfinite(pairs[0])]
    return TaskDiagnostics(
        returns=means,
        stds=stds,
        norms_sq=norms_sq,
        weighted_norms_sq=weights * weights * norms_sq,
        noise_traces=noise,
        snr=np.array([_ratio(a, math.sqrt(b)) for a, b in zip(norms.tolist(), noise.tolist(), strict=True)]),
        products=debiased.copy() if n > 1 else np.full((n_tasks, n_tasks), math.nan),
        cosines=cosines,
        similarities=similarities,
        conflicts=float(np.count_nonzero(pairs[0] < 0)) if n > 1 else math.nan,
        min_cos=min(pairs[0].tolist(), default=math.nan),
        min_similarity=min(pairs[1].tolist(), default=math.nan),
        pareto_gap=_pareto_gap(gram, debiased, norms) if n > 1 else math.nan,
        var_ratio=_ratio(float(stds.max()), float(stds.min())) if n else math.nan,
    )


def _pareto_gap(gram, debiased, norms):
    """Return sqrt(max(0, w'Mw)) / mean n_i with w = mgda(G)."""
    weights = mgda(gram)
    square = _sum(weights[i] * weights[j] * debiased[i, j] for i in range(len(weights)) for j in range(len(weights)))
    return _ratio(math.sqrt(max(0.0, square)), _sum(norms.tolist()) / len(norms))


def _cosine(x, y):
    """Return the cosine of two vectors; NaN if one has no length. As 1 - |x / |x| - y / |y||^2 / 2, it overflows at no scale."""
    x_norm, y_norm = norm(x), norm(y)
    if not (0.0 < x_norm < math.inf and 0.0 < y_norm < math.inf):
        return math.nan
    return 1.0 - 0.5 * norm_sq(x / x_norm - y / y_norm)


def _clipped(value):
    """Return the value, or 0 if it is negative; NaN stays NaN."""
    return 0.0 if value < 0.0 else value


def _ratio(numerator, denominator):
    return numerator / denominator if denominator != 0.0 else math.nan


def _sum(values):
    """Add up from the first value to the last."""
    total = 0.0
    for value in values:
        total += value
    return total


def _deviation_sq(values):
    """Return the sum of squared deviations from the mean."""
    mean = _sum(values) / len(values)
    return _sum((value - mean) * (value - mean) for value in values)
