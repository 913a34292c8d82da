"""Norms, and what a step says about itself.

Symbols: delta_k are the N directions with two finite returns, d = n_weights, d_k = (R[k, 0] - R[k, 1]) / (2 sigma),
g = (1/N) sum over k of d_k delta_k and S2 = sum over k of d_k^2 |delta_k|^2.
"""

import math
from typing import Any, NamedTuple

import numpy as np

BLOCK, LANES = 4096, 64


class Diagnostics(NamedTuple):
    """How far the gradient of one iteration can be trusted; NaN where a figure is undefined."""

    grad_norm: Any
    grad_norm_sq: Any
    grad_norm_debiased: Any
    noise_trace: Any
    snr: Any
    efficiency: Any
    n_eff_dirs: Any
    parity_ratio: Any
    sigma_ratio: Any
    topb_cut: Any


class Info(NamedTuple):
    """Sizes of the weights, of the gradient and of the step."""

    weights_norm: Any
    weights_norm_sq: Any
    weights_std: Any
    grad_norm: Any
    grad_norm_sq: Any
    step_norm: Any
    update_ratio: Any


def norm_sq(x):
    """The sum of squares: entry k of a block of 4096 goes to sum k mod 64; the 64 sums, then the blocks, are added in order."""
    x = np.asarray(x, np.float64)
    blocks = np.pad(x * x, (0, -len(x) % BLOCK)).reshape(-1, BLOCK // LANES, LANES)
    return _sum(_sum(lanes) for lanes in blocks.sum(axis=1).tolist())  # NumPy adds along this axis row after row


def norm(x):
    """The Euclidean norm. Where the squares leave the range of float64, in units of a power of two near the largest entry."""
    with np.errstate(over="ignore", under="ignore"):
        square = norm_sq(x)
    if 1e-280 < square < 1e300:
        return math.sqrt(square)
    largest = float(np.abs(x).max(initial=0.0))
    if largest == 0.0:
        return 0.0
    exponent = math.frexp(largest)[1]
    return math.ldexp(math.sqrt(norm_sq(np.ldexp(np.asarray(x, np.float64), -exponent))), exponent)


def diagnostics(returns, noise, indices, gradient_all, sigma, std, selected):
    """Diagnostics of an iteration; `gradient_all` is g over all finite pairs, `selected` the directions that made the step.

    For a linear return without noise: snr = sqrt(N / (d + 1)), efficiency = 1, n_eff_dirs = 0.64 N, parity_ratio = 0 and
    sigma_ratio = 1.
    """
    finite = np.flatnonzero(np.isfinite(returns).all(axis=1))
    n, n_weights = len(finite), len(gradient_all)
    # Most figures are ratios: in units of a power of two near the largest return, their squares stay in the range of float64.
    unit = math.ldexp(1.0, math.frexp(np.abs(returns[finite]).max(initial=0.0))[1] - 1)
    pairs = (returns[finite] / unit).tolist()
    d = [(p - m) / (2.0 * sigma) for p, m in pairs]
    q = [norm_sq(noise[i : i + n_weights]) for i in indices[finite]]
    grad_norm = norm(gradient_all)
    g_sq = (grad_norm / unit) * (grad_norm / unit)
    s2 = _sum(a * a * b for a, b in zip(d, q, strict=True))
    if n > 1:
        debiased = math.sqrt(max(0.0, (n * n * g_sq - s2) / (n * (n - 1.0))))
        trace = max(0.0, (s2 - n * g_sq) / (n * (n - 1.0)))
    else:
        debiased = trace = math.nan
    snr = _ratio(debiased, math.sqrt(trace))
    parity = _ratio(_deviation_sq([p + m for p, m in pairs]), _deviation_sq([p - m for p, m in pairs])) if n > 1 else math.nan
    absolute = _sum(abs(a) for a in d)
    best = max((max(pair) for pair in pairs), default=math.nan)
    cut = min((float(returns[i].max()) / unit for i in selected), default=math.nan)
    return Diagnostics(
        grad_norm=grad_norm,
        grad_norm_sq=grad_norm * grad_norm,
        grad_norm_debiased=debiased * unit,
        noise_trace=trace * unit * unit,
        snr=snr,
        efficiency=snr * snr * (n_weights + 1.0) / max(n, 1),
        n_eff_dirs=_ratio(absolute * absolute, _sum(a * a for a in d)),
        parity_ratio=parity,
        sigma_ratio=_ratio(std / unit, sigma * debiased),
        topb_cut=_ratio(cut, best),
    )


def _ratio(numerator, denominator):
    return numerator / denominator if denominator != 0.0 else math.nan


def _sum(values):
    """Sum from the first to the last."""
    total = 0.0
    for value in values:
        total += value
    return total


def _deviation_sq(values):
    """Sum of squared deviations from the mean."""
    mean = _sum(values) / len(values)
    return _sum((value - mean) * (value - mean) for value in values)


def info(theta, gradient, step):
    """Norms of the weights theta + step, of gradient and step; the deviation of the weights; |step| / |theta|, NaN at theta = 0."""
    weights = theta + step
    mean = _sum(weights.tolist()) / len(weights)
    weights_norm, grad_norm, step_norm = norm(weights), norm(gradient), norm(step)
    return Info(
        weights_norm=weights_norm,
        weights_norm_sq=weights_norm * weights_norm,
        weights_std=math.sqrt(norm_sq(weights - mean) / len(weights)),
        grad_norm=grad_norm,
        grad_norm_sq=grad_norm * grad_norm,
        step_norm=step_norm,
        update_ratio=_ratio(step_norm, norm(theta)),
    )
