"""Tests of whether the noise of returns is the same for all directions.

ARS divides by one deviation of all returns, and its top directions have the largest returns. If some directions are noisier than
others, they are chosen for their noise.
"""

import math

import numpy as np

from fastars._compiled.jit import kernel
from fastars.kernels.sorting import ascending_order

# Rows that chance alone lets differ from the commonest x and from the commonest y. With fewer, p has few values: two of 32 in x and
# two in y share a row in one run of 8, and p is then below 0.01. Without equal values, 6 rows are enough.
_FEWEST_SHARED = 4.0
_GRID = 2.0**40  # differences, in units of the largest return, are multiples of 1 / _GRID: rounding errors grow with the mean


@kernel
def rank_correlation(x, y):
    """Test whether x grows with y, by the correlation of their ranks (Spearman 1904).

    If all orders of y are equally likely for given x, t = rho sqrt((n - 2) / (1 - rho^2)) nearly has Student's distribution of
    n - 2 degrees of freedom. The distribution of p then differs from a uniform one by at most 0.037 for 6 values, 0.017 for 8.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n,)
        Finite values. Equal ones have the mean of their ranks.

    Returns
    -------
    rho, p : float
        The correlation, and the probability of one at least as large. NaN for fewer than 6 values, and if a b < 4 n, where
        a of the n values of `x` differ from the commonest one, and b of `y`: p would have too few values.
    """
    n = x.shape[0]
    (ranks_x, most_x), (ranks_y, most_y) = _centered_ranks(x), _centered_ranks(y)
    if n == 0 or (n - most_x) * (n - most_y) < _FEWEST_SHARED * n:
        return np.nan, np.nan
    of_x, of_y, product = 0.0, 0.0, 0.0
    for k in range(n):
        of_x += ranks_x[k] * ranks_x[k]
        of_y += ranks_y[k] * ranks_y[k]
        product += ranks_x[k] * ranks_y[k]
    rho = min(1.0, max(-1.0, product / math.sqrt(of_x * of_y)))
    rest = (of_x * of_y - product * product) / (of_x * of_y)
    tail = 0.5 * _t_tails(max(0.0, rest), n - 2.0)
    return rho, tail if rho >= 0.0 else 1.0 - tail


@kernel
def spread_test(returns, common):
    """Test whether some candidates have noisier returns than others: their first episodes and their later ones tell the same.

    The spread of a half of the episodes is the sum of squared differences of its pairs. Neither the mean of a candidate nor the
    other half has a part in it. So if the noise has one distribution, of any shape, the spreads of first and later episodes are
    independent, and `rank_correlation` of the candidates holds. (Levene's test and Brown and Forsythe's do not hold: with 200
    normal candidates of 5 episodes the second never found p < 0.05, with skewed returns of 4 episodes in 15 % of runs.) Differences
    below 1e-12 of the largest return count as 0.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2, m)
        Returns of the episodes of each candidate. A candidate (with `common`, or with fewer than 4 episodes: a direction) with a
        return that is not finite is left out.
    common : bool
        True if the two candidates of a direction have the same noise (`common_random_numbers`). Directions are then compared,
        by the sum of the spreads of their candidates.

    Returns
    -------
    rho, p : float
        With 2 or 3 episodes, the two candidates of a direction are compared in place of first and later episodes. NaN for 1
        episode, for fewer than 4 with `common`, and where `rank_correlation` is undefined.
    """
    n_delta, _, m = returns.shape
    if m < 2 or (m < 4 and common):
        return np.nan, np.nan
    unit, half, n = _unit(returns), m // 2, 0
    first, later = np.zeros(2 * n_delta), np.zeros(2 * n_delta)
    for i in range(n_delta):
        if m < 4:
            first[n], later[n] = _spread(returns[i, 0], unit), _spread(returns[i, 1], unit)
            n += math.isfinite(first[n] + later[n])
        elif common:
            first[n] = _spread(returns[i, 0, :half], unit) + _spread(returns[i, 1, :half], unit)
            later[n] = _spread(returns[i, 0, half:], unit) + _spread(returns[i, 1, half:], unit)
            n += math.isfinite(first[n] + later[n])
        else:
            for sign in range(2):
                first[n], later[n] = _spread(returns[i, sign, :half], unit), _spread(returns[i, sign, half:], unit)
                n += math.isfinite(first[n] + later[n])
    return rank_correlation(first[:n], later[:n])


@kernel
def slope_test(returns):
    """Test whether the noise of a pair of candidates grows with its slope, from one episode of each.

    R are the mean returns of candidates. If returns are linear in the weights, e_k = (R[k, 0] + R[k, 1]) / 2 is a constant plus
    noise; `rank_correlation` of |R[k, 0] - R[k, 1]| and |e_k - median of e|. The noise is in both. Sum and difference of a pair are
    independent if it is normal, or if it cancels in the difference. If the noise is not normal and larger than the slopes, the test
    does not hold, nor does it distinguish noise from curvature.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2, m)
        Returns of the episodes of each candidate. Pairs with a return that is not finite are left out.

    Returns
    -------
    rho, p : float
        NaN where `rank_correlation` is undefined.
    """
    n_delta, _, m = returns.shape
    unit, n = _unit(returns), 0
    odd, even = np.empty(n_delta), np.empty(n_delta)
    for i in range(n_delta):
        plus, minus = 0.0, 0.0
        for e in range(m):
            plus += returns[i, 0, e] / unit
            minus += returns[i, 1, e] / unit
        if math.isfinite(plus) and math.isfinite(minus):
            odd[n], even[n] = _snapped(abs(plus - minus)), _snapped(plus + minus)
            n += 1
    if n == 0:
        return np.nan, np.nan
    odd, even = odd[:n], even[:n]
    order = ascending_order(even)
    median = 0.5 * (even[order[(n - 1) // 2]] + even[order[n // 2]])
    for k in range(n):
        even[k] = abs(even[k] - median)
    return rank_correlation(odd, even)


@kernel
def _unit(returns):
    """Return a power of two near the largest finite return: in this unit, squares stay in the range of float64."""
    largest = 0.0
    for value in returns.flat:
        if math.isfinite(value):
            largest = max(largest, abs(value))
    return math.ldexp(1.0, math.frexp(largest)[1] - 1)


@kernel
def _spread(values, unit):
    """Return the sum of the squared differences of all pairs."""
    total = 0.0
    for i in range(values.shape[0]):
        for j in range(i):
            difference = _snapped(values[i] / unit - values[j] / unit)
            total += difference * difference
        total += 0.0 * values[i]  # NaN for a single value that is not finite
    return total


@kernel
def _snapped(value):
    """Round to a multiple of 1/_GRID."""
    return np.floor(value * _GRID + 0.5) / _GRID


@kernel
def _centered_ranks(values):
    """Return (ranks minus their mean, number of the commonest value); equal values have the mean of their ranks."""
    n = values.shape[0]
    order, ranks = ascending_order(values), np.empty(n)
    begin, most = 0, 0
    while begin < n:
        end = begin + 1
        while end < n and values[order[end]] == values[order[begin]]:
            end += 1
        for k in range(begin, end):
            ranks[order[k]] = 0.5 * (begin + end + 1) - 0.5 * (n + 1)
        begin, most = end, max(most, end - begin)
    return ranks, most


@kernel
def _t_tails(rest, df):
    """Return P(|T| >= t) for df degrees of freedom: the incomplete beta I_x(df/2, 1/2), x = df / (df + t^2) = 1 - rho^2."""
    a, b = 0.5 * df, 0.5
    if rest > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(1.0 - rest, rest, b, a)
    return _incomplete_beta(rest, 1.0 - rest, a, b)


@kernel
def _incomplete_beta(x, rest, a, b):
    """Compute I_x(a, b) by its continued fraction (DLMF 8.17.22), for x below (a + 1) / (a + b + 2); `rest` is 1 - x."""
    if x <= 0.0:
        return 0.0
    fraction = 1.0
    for m in range(60 + int(4.0 * math.sqrt(max(a, b))), 0, -1):  # from its last term to its first
        even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        odd = -(a + m - 1.0) * (a + b + m - 1.0) * x / ((a + 2.0 * m - 2.0) * (a + 2.0 * m - 1.0))
        fraction = 1.0 + odd / (1.0 + even / fraction)
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.exp(a * math.log(x) + b * math.log(rest) - log_beta) / (a * fraction)
