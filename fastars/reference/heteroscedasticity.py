"""Tests of whether the noise of returns is the same for all directions."""

import math

import numpy as np

FEWEST_SHARED = 4.0
GRID = 2.0**40


def rank_correlation(x, y):
    """(rho, p) of Spearman's test that x grows with y: rho is the correlation of their ranks, p = P(T >= t), t of n - 2 degrees.

    t = rho sqrt((n - 2) / (1 - rho^2)). Equal values have the mean of their ranks. NaN if chance alone lets fewer than 4 rows
    differ from the commonest x and from the commonest y, as for fewer than 6 rows.
    """
    n = len(x)
    others = [n - np.unique(values, return_counts=True)[1].max(initial=0) for values in (x, y)]
    if n == 0 or others[0] * others[1] < FEWEST_SHARED * n:
        return math.nan, math.nan
    ranks = [_ranks(values) - 0.5 * (n + 1) for values in (x, y)]
    of_x, of_y, product = (_sum((a * b).tolist()) for a, b in ((ranks[0],) * 2, (ranks[1],) * 2, ranks))
    rho = min(1.0, max(-1.0, product / math.sqrt(of_x * of_y)))
    rest = (of_x * of_y - product * product) / (of_x * of_y)
    tail = 0.5 * _t_tails(max(0.0, rest), n - 2)
    return rho, tail if rho >= 0.0 else 1.0 - tail


def spread_test(returns, common):
    """(rho, p) of the test that candidates whose first episodes differ much have later ones that differ much; (n_delta, 2, m).

    The spread of a half is the sum of squared differences of its pairs of episodes. The rows of `rank_correlation` are candidates.
    With `common` noise in both candidates of a direction they are directions, and the spreads of both are added. With 2 or 3
    episodes, the two halves are the two candidates of a direction, and `common` noise gives NaN. So does 1 episode. Rows that are
    not finite are left out.
    """
    n_delta, _, m = returns.shape
    episodes = returns / _unit(returns)
    if m < 2 or (m < 4 and common):
        return math.nan, math.nan
    if m < 4:
        first, later = episodes[:, :1], episodes[:, 1:]
    elif common:
        first, later = episodes[:, :, : m // 2], episodes[:, :, m // 2 :]
    else:
        first, later = episodes.reshape(2 * n_delta, 1, m)[:, :, : m // 2], episodes.reshape(2 * n_delta, 1, m)[:, :, m // 2 :]
    kept = np.isfinite(first).all(axis=(1, 2)) & np.isfinite(later).all(axis=(1, 2))
    return rank_correlation(*(np.array([_sum(map(_spread, row)) for row in half[kept].tolist()]) for half in (first, later)))


def slope_test(returns):
    """(rho, p) of the test that pairs whose returns differ much have a mean far from the median; mean returns of (n_delta, 2, m).

    `rank_correlation` of |R[k, 0] - R[k, 1]| and |e_k - median of e|, e_k = (R[k, 0] + R[k, 1]) / 2.
    """
    finite = np.isfinite(returns).all(axis=(1, 2))
    pairs = np.add.accumulate(returns[finite] / _unit(returns), axis=2)[:, :, -1]  # NumPy's sum may take pairs
    if len(pairs) == 0:
        return math.nan, math.nan
    total = _snapped(pairs[:, 0] + pairs[:, 1])
    return rank_correlation(_snapped(np.abs(pairs[:, 0] - pairs[:, 1])), np.abs(total - np.median(total)))


def _spread(values):
    """Return the sum of the squared differences of all pairs."""
    return _sum(_snapped(a - b) ** 2 for i, a in enumerate(values) for b in values[:i])


def _snapped(values):
    """Round to multiples of 1 / GRID: rounding errors, which grow with a mean, are gone."""
    return np.floor(values * GRID + 0.5) / GRID


def _ranks(values):
    """Return the ranks from 1; equal values have the mean of their ranks."""
    return np.array([np.count_nonzero(values < v) + 0.5 * (np.count_nonzero(values == v) + 1) for v in values])


def _t_tails(rest, df):
    """Return P(|T| >= t) = I_x(df / 2, 1 / 2) of x = df / (df + t^2), which is 1 - rho^2."""
    a, b = 0.5 * df, 0.5
    if rest > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(1.0 - rest, rest, b, a)
    return _incomplete_beta(rest, 1.0 - rest, a, b)


def _incomplete_beta(x, rest, a, b):
    """Compute I_x(a, b) by the continued fraction DLMF 8.17.22, from its last term to its first; `rest` is 1 - x."""
    if x <= 0.0:
        return 0.0
    fraction = 1.0
    for m in range(60 + int(4 * math.sqrt(max(a, b))), 0, -1):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m - 1) * (a + b + m - 1) * x / ((a + 2 * m - 2) * (a + 2 * m - 1))
        fraction = 1.0 + odd / (1.0 + even / fraction)
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.exp(a * math.log(x) + b * math.log(rest) - log_beta) / (a * fraction)


def _unit(returns):
    """Return a power of two near the largest finite return: in this unit, squares stay in the range of float64."""
    return math.ldexp(1.0, math.frexp(np.abs(returns[np.isfinite(returns)]).max(initial=0.0))[1] - 1)


def _sum(values):
    """Add up from the first value to the last."""
    total = 0.0
    for value in values:
        total += value
    return total
