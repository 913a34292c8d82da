"""The top directions and their weights in the gradient.

Symbols of the paper (Mania, Guy & Recht 2018, Algorithm 2): R (n_delta, 2) are the returns r(theta + nu delta_i) and
r(theta - nu delta_i), n_delta is N, n_top is b, learning_rate is alpha, and line 7 is

    theta += alpha / (b sigma_R) * sum over the top b directions of (R[i, 0] - R[i, 1]) delta_i

so step = alpha * weighted_sum(direction_weights(...)). Every sum runs from the first entry to the last.
"""

import math

import numpy as np

from .returns import finite_pairs


def top_directions(returns, n_top, keep_ties):
    """Select the directions with the largest max(R[i, 0], R[i, 1]), ascending, among the finite pairs.

    Without `keep_ties`: exactly n_top; among equals, the first. With it: all that reach the percentile 100 (1 - n_top / N).
    """
    finite = np.flatnonzero(finite_pairs(returns))
    if n_top >= len(finite):
        return finite
    score = returns[finite].max(axis=1)
    if keep_ties:
        return finite[score >= np.percentile(score, 100 * (1 - n_top / len(finite)))]
    return finite[np.sort(np.argsort(-score, kind="stable")[:n_top])]


def return_std(returns, selected, ddof):
    """Compute sigma_R, the deviation of the 2b returns of the selected directions; 0 for up to `ddof` returns.

    The unit is a power of two near the largest return, so that the squares of 1e300 and 1e-300 stay in the range of float64. The
    deviations are computed from differences to the first return, so that equal returns give exactly 0.
    """
    used = returns[selected].ravel()
    if len(used) <= ddof:
        return 0.0
    exponent = math.frexp(np.abs(used).max())[1]
    x = np.ldexp(used, -exponent)
    x = x - x[0]
    mean = _sum(x) / len(x)
    variance = _sum((x - mean) * (x - mean)) / (len(x) - ddof)
    with np.errstate(over="ignore"):  # for 1.7e308 and -1.7e308 it may be infinite
        return float(np.ldexp(math.sqrt(variance), exponent))


def _sum(values):
    """Add up from the first value to the last (`np.sum` adds pairs)."""
    total = 0.0
    for value in values:
        total += float(value)
    return total


def direction_weights(returns, selected, n_divisor, std, std_epsilon):
    """Return (R[i, 0] - R[i, 1]) / (n_divisor * std + std_epsilon) for the selected directions; all 0 if this divisor is 0."""
    divisor = n_divisor * std + std_epsilon
    if divisor == 0.0:
        return np.zeros(len(selected))
    return (0.5 * returns[selected, 0] - 0.5 * returns[selected, 1]) / (
        0.5 * divisor
    )  # halved first, as the difference may be 1e308


def step_weights(returns, shaped, n_top, keep_ties, n_divisor, ddof, std_epsilon):
    """Return (selected, weights, std): the top directions, and their weights with sigma_R of the `shaped` returns (lines 6, 7).

    An `n_divisor` of 0 stands for the number of selected directions.
    """
    selected = top_directions(returns, n_top, keep_ties)
    std = return_std(shaped, selected, ddof)
    return selected, direction_weights(shaped, selected, n_divisor or len(selected), std, std_epsilon), std
