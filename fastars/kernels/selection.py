"""The top directions and their weights in the gradient.

Symbols of the paper (Mania, Guy & Recht 2018, Algorithm 2): R (n_delta, 2) are the returns r(theta + nu delta_i) and
r(theta - nu delta_i), n_delta is N, n_top is b, learning_rate is alpha, and line 7 is

    theta += alpha / (b sigma_R) * sum over the top b directions of (R[i, 0] - R[i, 1]) delta_i

so step = alpha * weighted_sum(direction_weights(...)). Every sum runs from the first entry to the last.
"""

import math

import numpy as np

from fastars._compiled.jit import kernel
from fastars.kernels.returns import finite_pairs
from fastars.kernels.sorting import ascending_order, percentile


@kernel
def top_directions(returns, n_top, keep_ties):
    """Select the directions with the largest max(R[i, 0], R[i, 1]) among the directions with two finite returns.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, NaN or infinite where one failed.
    n_top : int
        Number of directions to select.
    keep_ties : bool
        False: exactly n_top directions (all, if there are fewer); among equals, the first. True: all directions that reach the
        percentile 100 (1 - n_top / N) of the N finite ones, as in the original code; with ties, these may be more than n_top.

    Returns
    -------
    ndarray of int64, shape (n,)
        Ascending.
    """
    n_delta = returns.shape[0]
    finite = finite_pairs(returns)
    directions, score = np.empty(n_delta, np.int64), np.empty(n_delta)
    n = 0
    for i in range(n_delta):
        if finite[i]:
            directions[n], score[n] = i, -max(returns[i, 0], returns[i, 1])
            n += 1
    if n_top >= n:
        return directions[:n]
    order = ascending_order(score[:n])  # of the negated scores: the largest score first, and among equals the lowest index
    wanted = np.zeros(n, np.bool_)
    if keep_ties:
        ascending = np.empty(n)
        for k in range(n):
            ascending[n - 1 - k] = -score[order[k]]
        cut = percentile(ascending, 100.0 * (1.0 - n_top / n))
        for k in range(n):
            wanted[k] = -score[k] >= cut
    else:
        for k in range(n_top):
            wanted[order[k]] = True
    n_kept = 0
    for k in range(n):
        if wanted[k]:
            directions[n_kept] = directions[k]
            n_kept += 1
    return directions[:n_kept]


@kernel
def return_std(returns, selected, ddof):
    """Compute sigma_R, the standard deviation of the 2 b returns of the selected directions.

    The unit is a power of two near the largest return, so that the squares of 1e300 and 1e-300 stay in the range of float64. The
    deviations are computed from differences to the first return, so that equal returns give exactly 0.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, NaN or infinite where one failed.
    selected : ndarray of int64, shape (b,)
        Directions with two finite returns.
    ddof : int
        The variance is the sum of squared deviations / (2 b - ddof).

    Returns
    -------
    float
        0.0 for up to `ddof` returns.
    """
    n = 2 * selected.shape[0]
    if n <= ddof:
        return 0.0
    largest = 0.0
    for i in selected:
        largest = max(largest, abs(returns[i, 0]), abs(returns[i, 1]))
    exponent = math.frexp(largest)[1]
    first = math.ldexp(returns[selected[0], 0], -exponent)
    total = 0.0
    for i in selected:
        for sign in range(2):
            total += math.ldexp(returns[i, sign], -exponent) - first
    mean = total / n
    squares = 0.0
    for i in selected:
        for sign in range(2):
            deviation = math.ldexp(returns[i, sign], -exponent) - first - mean
            squares += deviation * deviation
    return math.ldexp(math.sqrt(squares / (n - ddof)), exponent)


@kernel
def direction_weights(returns, selected, n_divisor, std, std_epsilon):
    """Compute the weight of each selected direction: (R[i, 0] - R[i, 1]) / (n_divisor * std + std_epsilon).

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, NaN or infinite where one failed.
    selected : ndarray of int64, shape (b,)
        Directions with two finite returns.
    n_divisor : int or float
        Number of directions that the sum is divided by.
    std, std_epsilon : float
        sigma_R, and the number added to its product with `n_divisor`.

    Returns
    -------
    ndarray of float64, shape (b,)
        All 0 if the divisor is 0: if all returns are equal, theta does not change. Each return is halved first: no bit differs,
        unless the difference would be infinite.
    """
    weights = np.zeros(selected.shape[0])
    divisor = n_divisor * std + std_epsilon
    if divisor != 0.0:
        for k in range(selected.shape[0]):
            weights[k] = (0.5 * returns[selected[k], 0] - 0.5 * returns[selected[k], 1]) / (0.5 * divisor)
    return weights


@kernel
def step_weights(returns, shaped, n_top, keep_ties, n_divisor, ddof, std_epsilon):
    """Select the top directions, and compute their weights in the step: lines 6 and 7 but for the sum over the directions.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, NaN or infinite where one failed. `top_directions` selects by them.
    shaped : ndarray of float64, shape (n_delta, 2)
        The same after a shaping of fitness. `return_std` and `direction_weights` are of these.
    n_top : int
        Number of directions to select.
    keep_ties : bool
        As for `top_directions`.
    n_divisor : int
        Number of directions that the sum is divided by; 0 stands for the number of selected ones.
    ddof : int
        As for `return_std`.
    std_epsilon : float
        As for `direction_weights`.

    Returns
    -------
    selected : ndarray of int64, shape (b,)
        The directions, ascending.
    weights : ndarray of float64, shape (b,)
        Their weights.
    std : float
        sigma_R.
    """
    selected = top_directions(returns, n_top, keep_ties)
    std = return_std(shaped, selected, ddof)
    divisor = n_divisor if n_divisor > 0 else selected.shape[0]
    return selected, direction_weights(shaped, selected, divisor, std, std_epsilon), std
