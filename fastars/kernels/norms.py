"""Norms, and what a step says about itself.

Symbols: delta_k are the N directions with two finite returns, d = n_weights, d_k = (R[k, 0] - R[k, 1]) / (2 sigma),
g = (1/N) sum over k of d_k delta_k and S2 = sum over k of d_k^2 |delta_k|^2.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from fastars._jit import inline, kernel
from fastars.kernels.update import finite_pairs

BLOCK, LANES = 4096, 64  # the bits of a sum depend on both, and on nothing else


class Diagnostics(NamedTuple):
    """How far the gradient of one iteration can be trusted; NaN where a figure is undefined.

    Attributes
    ----------
    grad_norm, grad_norm_sq : float
        |g| and |g|^2: inflated by the noise of N directions in d dimensions.
    grad_norm_debiased : float
        sqrt(max(0, (N^2 |g|^2 - S2) / (N (N - 1)))), an estimate of the true norm.
    noise_trace : float
        (S2 - N |g|^2) / (N (N - 1)), the summed variance of g.
    snr : float
        grad_norm_debiased / sqrt(noise_trace); sqrt(N / (d + 1)) for a linear return without noise.
    efficiency : float
        snr^2 (d + 1) / N; 1 for a linear return without noise, less where noise or curvature dominates.
    n_eff_dirs : float
        (sum |d_k|)^2 / sum d_k^2; about 0.64 N, 1 where one lucky direction dominates.
    parity_ratio : float
        Var(R+ + R-) / Var(R+ - R-) over the directions; above 1 means curvature: sigma is too large.
    sigma_ratio : float
        sigma_R / (sigma * grad_norm_debiased); about 1, more with noise.
    topb_cut : float
        Score of the worst selected direction / best score; near 1 the choice of the top b is arbitrary.
    """

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
    """Sizes of the new weights, of the gradient and of the step: L2 norms, their squares, the weights' population deviation."""

    weights_norm: Any
    weights_norm_sq: Any
    weights_std: Any
    grad_norm: Any
    grad_norm_sq: Any
    step_norm: Any
    update_ratio: Any  # |step| / |theta before it|, NaN at theta = 0


@kernel
def _squares(x, shift):
    """The sum of (x - shift)^2."""
    sums = np.empty(LANES)
    total = 0.0
    for begin in range(0, x.shape[0], BLOCK):
        block = x[begin : begin + BLOCK]
        for lane in range(LANES):
            sums[lane] = 0.0
        for k in range(0, block.shape[0], LANES):
            row = block[k : k + LANES]
            for lane in range(row.shape[0]):
                value = np.float64(row[lane]) - shift
                sums[lane] += value * value
        for lane in range(1, LANES):
            sums[0] += sums[lane]
        total += sums[0]
    return total


@kernel
def norm_sq(x):
    """The sum of squares.

    Entry k of a block of 4096 goes to sum k mod 64; the 64 sums, then the blocks, are added in order. One sum alone waits for each
    addition (500,000 entries: 335 us instead of 140).

    Parameters
    ----------
    x : ndarray of float64 or float32, shape (n,)
        Any vector.

    Returns
    -------
    float
        In float64.
    """
    return _squares(x, 0.0)


@kernel
def norm(x):
    """The Euclidean norm, also where the squares leave the range of float64.

    Parameters
    ----------
    x : ndarray of float64 or float32, shape (n,)
        Any vector.

    Returns
    -------
    float
        NaN or infinite if an entry is.
    """
    square = norm_sq(x)
    if 1e-280 < square < 1e300:
        return math.sqrt(square)
    largest = 0.0
    for value in x:
        if not math.isfinite(value):
            return math.sqrt(square)
        largest = max(largest, abs(value))
    if largest == 0.0:
        return 0.0
    exponent = math.frexp(largest)[1]
    scaled = np.empty(x.shape[0])
    for k in range(x.shape[0]):
        scaled[k] = math.ldexp(x[k], -exponent)
    return math.ldexp(math.sqrt(norm_sq(scaled)), exponent)


@kernel
def diagnostics(returns, noise, indices, gradient_all, sigma, std, selected):
    """Diagnostics of an iteration, over all directions with two finite returns.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, NaN or infinite where one failed.
    noise : ndarray of float32, shape (n_noise,)
        The noise table.
    indices : ndarray of int64, shape (n_delta,)
        Direction k starts at noise[indices[k]].
    gradient_all : ndarray of float64, shape (n_weights,)
        g of the module's docstring.
    sigma : float
        Deviation of the noise (`delta_std`).
    std : float
        sigma_R, the deviation of the returns used.
    selected : ndarray of int64, shape (b,)
        Directions used.

    Returns
    -------
    Diagnostics
    """
    n_weights = gradient_all.shape[0]
    finite = finite_pairs(returns)
    largest, n = 0.0, 0
    for i in range(returns.shape[0]):
        if finite[i]:
            largest = max(largest, abs(returns[i, 0]), abs(returns[i, 1]))
            n += 1
    # Most figures are ratios: in units of a power of two near the largest return, their squares stay in the range of float64.
    unit = math.ldexp(1.0, math.frexp(largest)[1] - 1)
    s2, absolute, squares, even, odd, best = 0.0, 0.0, 0.0, 0.0, 0.0, -np.inf
    for i in range(returns.shape[0]):
        if finite[i]:
            plus, minus = returns[i, 0] / unit, returns[i, 1] / unit
            d = (plus - minus) / (2.0 * sigma)
            s2 += d * d * norm_sq(noise[indices[i] : indices[i] + n_weights])
            absolute += abs(d)
            squares += d * d
            even += plus + minus
            odd += plus - minus
            best = max(best, plus, minus)
    even_sq, odd_sq = 0.0, 0.0
    for i in range(returns.shape[0]):
        if finite[i]:
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
        debiased = math.sqrt(max(0.0, (n * n * g_sq - s2) / (n * (n - 1.0))))
        trace = max(0.0, (s2 - n * g_sq) / (n * (n - 1.0)))
    snr = _ratio(debiased, math.sqrt(trace))
    return Diagnostics(
        grad_norm,
        grad_norm * grad_norm,
        debiased * unit,
        trace * unit * unit,
        snr,
        snr * snr * (n_weights + 1.0) / max(n, 1),
        _ratio(absolute * absolute, squares),
        _ratio(even_sq, odd_sq) if n > 1 else np.nan,
        _ratio(std / unit, sigma * debiased),
        _ratio(cut, best) if selected.shape[0] > 0 else np.nan,
    )


@inline
def _ratio(numerator, denominator):
    """The quotient; NaN where that is not defined."""
    return numerator / denominator if denominator != 0.0 else np.nan


@kernel
def info(theta, gradient, step):
    """Sizes of the weights after the step, of the gradient and of the step (RLlib's `info`, which has squared norms).

    Parameters
    ----------
    theta, gradient, step : ndarray of float64, shape (n_weights,)
        Weights of the policy before the step, gradient and step.

    Returns
    -------
    Info
    """
    n_weights = theta.shape[0]
    weights = np.empty(n_weights)
    mean = 0.0
    for k in range(n_weights):
        weights[k] = theta[k] + step[k]
        mean += weights[k]
    mean /= n_weights
    weights_norm, grad_norm, step_norm = norm(weights), norm(gradient), norm(step)
    return Info(
        weights_norm,
        weights_norm * weights_norm,
        math.sqrt(_squares(weights, mean) / n_weights),
        grad_norm,
        grad_norm * grad_norm,
        step_norm,
        _ratio(step_norm, norm(theta)),
    )
