"""Returns of candidates: from the returns of episodes to the numbers that the update compares.

R (n_delta, 2) are the returns r(theta + sigma delta_i) and r(theta - sigma delta_i) of each pair.
"""

import math

import numpy as np

from fastars._compiled.jit import kernel
from fastars._compiled.structs import FAILED, NONFINITE, UNSTABLE
from fastars.kernels.sorting import ascending_order


@kernel
def candidate_returns(returns, lengths, status, offset):
    """Compute the return of each candidate: the mean of return + offset * length over its episodes.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2, n_episodes)
        Returns of the episodes.
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
    """Find the directions with two finite returns.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, NaN or infinite where one failed.

    Returns
    -------
    ndarray of bool, shape (n_delta,)
    """
    finite = np.empty(returns.shape[0], np.bool_)
    for i in range(returns.shape[0]):
        finite[i] = math.isfinite(returns[i, 0]) and math.isfinite(returns[i, 1])
    return finite


@kernel
def count_outcomes(returns, lengths, status):
    """Count the pairs with two finite returns, and the steps and unstable episodes of an iteration.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, NaN or infinite where one failed.
    lengths, status : ndarray of int64, shape (n_delta, 2, n_episodes)
        As in `Rollouts`.

    Returns
    -------
    n_finite, n_steps, n_unstable : int
    """
    n_finite, n_steps, n_unstable = 0, 0, 0
    for i in range(returns.shape[0]):
        n_finite += math.isfinite(returns[i, 0]) and math.isfinite(returns[i, 1])
    for length in lengths.flat:
        n_steps += length
    for value in status.flat:
        n_unstable += value == UNSTABLE
    return n_finite, n_steps, n_unstable


@kernel
def penalized_returns(returns, status):
    """Replace returns that are not finite by the worst return of the iteration (`on_nonfinite="penalize"`).

    R*[i, s] = R[i, s] where it is finite, otherwise the smallest finite entry of R. The step then leads away from such a candidate,
    towards the other candidate of its pair.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, NaN or infinite where one failed.
    status : ndarray of int64, shape (n_delta, 2, n_episodes)
        As in `Rollouts`.

    Returns
    -------
    ndarray of float64, shape (n_delta, 2)
        Unchanged in pairs without a finite return, which have no better side, and in pairs with an episode that `FAILED`: that is
        an error of the environment, not of the candidate.
    """
    penalized = returns.copy()
    worst = np.inf
    for value in returns.flat:
        if math.isfinite(value):
            worst = min(worst, value)
    for i in range(returns.shape[0]):
        has_failed = False
        for value in status[i].flat:
            has_failed |= value == FAILED
        plus, minus = math.isfinite(returns[i, 0]), math.isfinite(returns[i, 1])
        if plus != minus and not has_failed:
            penalized[i, 1 if plus else 0] = worst
    return penalized


@kernel
def centered_ranks(returns):
    """Compute the ranks of all returns, spread evenly over [-0.5, 0.5] (Salimans et al. 2017, "Evolution strategies", section 2).

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, NaN or infinite where one failed.

    Returns
    -------
    ndarray of float64, shape (n_delta, 2)
        Equal returns get the mean of their ranks. NaN for pairs with a return that is not finite.
    """
    n_delta = returns.shape[0]
    finite = finite_pairs(returns)
    values, ranks = np.empty(2 * n_delta), np.empty(2 * n_delta)
    n = 0
    for i in range(n_delta):
        if finite[i]:
            values[n], values[n + 1] = returns[i, 0], returns[i, 1]
            n += 2
    order = ascending_order(values[:n])
    begin = 0
    while begin < n:
        end = begin + 1
        while end < n and values[order[end]] == values[order[begin]]:
            end += 1
        for k in range(begin, end):
            ranks[order[k]] = 0.5 * (begin + end - 1) / max(n - 1, 1) - 0.5
        begin = end
    shaped = np.empty((n_delta, 2))
    k = 0
    for i in range(n_delta):
        if finite[i]:
            shaped[i, 0], shaped[i, 1] = ranks[k], ranks[k + 1]
            k += 2
        else:
            shaped[i, 0], shaped[i, 1] = np.nan, np.nan
    return shaped


@kernel
def sign_returns(returns):
    """Reduce the returns of a pair to the sign of their difference.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, NaN or infinite where one failed.

    Returns
    -------
    ndarray of float64, shape (n_delta, 2)
        (0.5, -0.5) where the first is larger, (-0.5, 0.5) where the second is, 0 for equal returns, NaN for pairs with
        a return that is not finite.
    """
    finite = finite_pairs(returns)
    shaped = np.empty(returns.shape)
    for i in range(returns.shape[0]):
        plus, minus = returns[i, 0], returns[i, 1]
        sign = 0.5 if plus > minus else (-0.5 if plus < minus else 0.0)
        shaped[i, 0] = sign if finite[i] else np.nan
        shaped[i, 1] = -sign if finite[i] else np.nan
    return shaped
