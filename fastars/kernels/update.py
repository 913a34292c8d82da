"""From returns to a step.

Paper symbols (Mania, Guy & Recht 2018, Algorithm 1 and 2): R (n_delta, 2) are the returns r(theta + nu delta_i), r(theta - nu delta_i);
n_delta is N, n_top is b, learning_rate is alpha, and

    theta += alpha / (b sigma_R) * sum over the top b directions of (R[i, 0] - R[i, 1]) delta_i

so step = alpha * weighted_sum(direction_weights(...)). Every sum runs from the first entry to the last.
"""

import math

import numpy as np
from numba import prange

from fastars._jit import kernel, parallel
from fastars._structs import NONFINITE

SUM_BLOCK = 4096  # columns of a weighted sum at a time: 32 kB of float64, which stay in the first cache


@kernel
def candidate_returns(returns, lengths, status, offset):
    """What each candidate is worth: the mean of return + offset * length over its episodes.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2, n_episodes)
    lengths, status : ndarray of int64, shape (n_delta, 2, n_episodes)
        As in `Rollouts`.
    offset : float
        Added per step (`alive_bonus_offset`).

    Returns
    -------
    ndarray of float64, shape (n_delta, 2)
        NaN where an episode ended as `NONFINITE` or its return is not finite.
    """
    n_delta, _, n_episodes = returns.shape
    values = np.empty((n_delta, 2))
    for i in range(n_delta):
        for sign in range(2):
            total = 0.0
            for e in range(n_episodes):
                episode = returns[i, sign, e]
                if status[i, sign, e] == NONFINITE or not math.isfinite(episode):
                    episode = np.nan
                total += episode + offset * lengths[i, sign, e]
            values[i, sign] = total / n_episodes
    return values


@kernel
def finite_pairs(returns):
    """Which directions have two finite returns.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)

    Returns
    -------
    ndarray of bool, shape (n_delta,)
    """
    finite = np.empty(returns.shape[0], np.bool_)
    for i in range(returns.shape[0]):
        finite[i] = math.isfinite(returns[i, 0]) and math.isfinite(returns[i, 1])
    return finite


@kernel
def _ascending(values):
    """Stable order of `values` without NaN, by a bottom-up merge sort (`np.argsort(kind="mergesort")` compiles 4 times as long)."""
    n = values.shape[0]
    order, merged = np.arange(n), np.empty(n, np.int64)
    width = 1
    while width < n:
        for begin in range(0, n, 2 * width):
            middle, end = min(begin + width, n), min(begin + 2 * width, n)
            left, right = begin, middle
            for k in range(begin, end):
                take_left = right >= end or (left < middle and values[order[left]] <= values[order[right]])
                if take_left:
                    merged[k] = order[left]
                    left += 1
                else:
                    merged[k] = order[right]
                    right += 1
        order, merged = merged, order
        width *= 2
    return order


@kernel
def _percentile(values, order, q):
    """`np.percentile(values, q)`, with its linear rule to the bit; `order` sorts the values."""
    position = (values.shape[0] - 1) * (q / 100.0)
    below = int(math.floor(position))
    low = values[order[below]]
    high = values[order[min(below + 1, values.shape[0] - 1)]]
    t = position - below
    return high - (high - low) * (1.0 - t) if t >= 0.5 else low + (high - low) * t


@kernel
def top_directions(returns, n_top, keep_ties):
    """The directions with the largest max(R[i, 0], R[i, 1]), among those with two finite returns.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
    n_top : int
        Directions wanted.
    keep_ties : bool
        False: exactly n_top directions (all, if there are fewer), the first of equals first. True: all that reach the percentile
        100 (1 - n_top / N) of the N finite ones, as the original does; ties may make them more than n_top.

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
    order = _ascending(score[:n])
    if keep_ties:
        cut = 
    return directions[:n]
