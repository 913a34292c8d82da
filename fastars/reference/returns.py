"""Returns of candidates: from the returns of episodes to the numbers that the update compares.

R (n_delta, 2) are the returns r(theta + sigma delta_i) and r(theta - sigma delta_i) of each pair.
"""

import numpy as np

NONFINITE, UNSTABLE, FAILED = 3, 4, 5


def candidate_returns(returns, lengths, status, offset):
    """Return the mean of return + offset * length over E episodes: (n_delta, 2, E) -> (n_delta, 2). NaN if one is not finite."""
    total = np.zeros(returns.shape[:2])
    for e in range(returns.shape[2]):
        episode = np.where(status[:, :, e] == NONFINITE, np.nan, returns[:, :, e])
        total = total + (np.where(np.isfinite(episode), episode, np.nan) + offset * lengths[:, :, e])
    return total / returns.shape[2]


def finite_pairs(returns):
    """Return True for each direction with two finite returns: bool (n_delta,)."""
    return np.isfinite(returns).all(axis=1)


def count_outcomes(returns, lengths, status):
    """Return the numbers of pairs with two finite returns, of steps and of `UNSTABLE` episodes."""
    return int(finite_pairs(returns).sum()), int(lengths.sum()), int((status == UNSTABLE).sum())


def penalized_returns(returns, status):
    """Return R* = R where R is finite, otherwise the smallest finite entry of R: (n_delta, 2).

    Unchanged: pairs without a finite return, and pairs with a `FAILED` episode (status, (n_delta, 2, E)).
    """
    finite = np.isfinite(returns)
    has_failed = (status == FAILED).any(axis=(1, 2))
    is_penalized = ~finite & (finite.any(axis=1) & ~has_failed)[:, np.newaxis]
    return np.where(is_penalized, returns[finite].min(initial=np.inf), returns)


def centered_ranks(returns):
    """Return ranks of all 2N returns, evenly over [-0.5, 0.5]; equal returns get their mean rank. NaN for pairs not finite."""
    finite = finite_pairs(returns)
    values = returns[finite].ravel()
    below = (values[:, np.newaxis] > values).sum(axis=1)
    equal = (values[:, np.newaxis] == values).sum(axis=1)
    ranks = 0.5 * (2 * below + equal - 1)
    shaped = np.full(returns.shape, np.nan)
    shaped[finite] = (ranks / max(len(values) - 1, 1) - 0.5).reshape(-1, 2)
    return shaped


def sign_returns(returns):
    """Return (0.5, -0.5) where the first of a pair is larger, (-0.5, 0.5) where the second is, 0 for equals. NaN if not finite."""
    finite = finite_pairs(returns)
    shaped = np.full(returns.shape, np.nan)
    plus, minus = returns[finite].T
    sign = 0.5 * (plus > minus) - 0.5 * (plus < minus)
    shaped[finite] = np.stack([sign, -sign], axis=1)
    return shaped
