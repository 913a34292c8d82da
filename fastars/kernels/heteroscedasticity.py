"""Tests of whether the noise of returns is the same for all directions.

ARS divides by one deviation of all returns, and its top directions have the largest returns. If some directions are noisier than
others, they are chosen for their noise.
"""

import math

import numpy as np

from fastars._compiled.jit import kernel
from fastars.kernels.sorting import ascending_order


@kernel
def brown_forsythe(returns):
    """Test whether all candidates have returns of one variance (Brown & Forsythe 1974: Levene's test about medians).

    With Z = |R - median of the candidate's episodes|: the statistic is the variance of Z between the K candidates, divided by the
    variance of Z within them. It follows an F distribution with K - 1 and K (m - 1) degrees of freedom. Candidates with a return
    that is not finite are left out. With few episodes of an odd number, the median is one of them, and the test finds little: noise
    that grows with the slope of 32 directions was found (p < 0.01) in 0 % of runs with 3 episodes, 96 % with 4, 90 % with 5, 100 %
    with 10.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2, m)
        Returns of the episodes of each candidate.

    Returns
    -------
    statistic, p : float
        NaN for fewer than 3 episodes (two are always equally far from their median), for fewer than 2 candidates, and where Z
        varies within no candidate.
    """
    n_delta, _, m = returns.shape
    unit = _unit(returns)
    z, means = np.empty(m), np.empty(2 * n_delta)
    within, k = 0.0, 0
    for i in range(n_delta):
        for sign in range(2):
            if m > 2 and _distances_from_median(returns[i, sign], unit, z):
                total = 0.0
                for e in range(m):
                    total += z[e]
                means[k] = total / m
                for e in range(m):
                    within += (z[e] - means[k]) * (z[e] - means[k])
                k += 1
    total, between = 0.0, 0.0
    for i in range(k):
        total += means[i]
    for i in range(k):
        between += m * (means[i] - total / k) * (means[i] - total / k)
    if k < 2 or within == 0.0:
        return np.nan, np.nan
    d1, d2 = k - 1.0, k * (m - 1.0)
    statistic = d2 / d1 * (between / within)
    return statistic, _f_tail(statistic, d1, d2)


@kernel
def _unit(returns):
    """Return a power of two near the largest finite return."""
    largest = 0.0
    for value in returns.flat:
        if math.isfinite(value):
            largest = max(largest, abs(value))
    return math.ldexp(1.0, math.frexp(largest)[1] - 1)


@kernel
def _distances_from_median(values, unit, z):
    """Write |values - their median| to `z`, in units of `unit`; return True if all values are finite."""
    m = values.shape[0]
    for e in range(m):
        if not math.isfinite(values[e]):
            return False
        z[e] = values[e] / unit
    order = ascending_order(z)
    median = 0.5 * (z[order[(m - 1) // 2]] + z[order[m // 2]])
    for e in range(m):
        z[e] = abs(z[e] - median)
    return True


@kernel
def _f_tail(statistic, d1, d2):
    """Return P(F >= statistic) for d1 and d2 degrees of freedom: the incomplete beta I_x(d2/2, d1/2), x = d2 / (d2 + d1 F)."""
    x, rest = d2 / (d2 + d1 * statistic), d1 * statistic / (d2 + d1 * statistic)
    a, b = 0.5 * d2, 0.5 * d1
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(rest, x, b, a)
    return _incomplete_beta(x, rest, a, b)


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


@kernel
def koenker(returns, lengths):
    """Test whether the noise of a direction depends on its slope or on its length (Koenker 1981, after Breusch & Pagan 1979).

    R are the mean returns of candidates. If returns are linear in the weights, e_k = (R[k, 0] + R[k, 1]) / 2 is a constant plus
    noise. (e_k - mean)^2 is regressed on |R[k, 0] - R[k, 1]| and on the mean length of the pair. N R^2 then follows a chi-squared
    distribution with as many degrees of freedom as there are regressors. (A regressor that does not vary, such as a constant
    length, is left out.) One episode per candidate is enough. But curvature looks like noise, and so do skewed returns: with
    exponential returns and 32 directions, p < 0.01 in 48 % of runs.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2, m)
        Returns of the episodes of each candidate. Pairs with a return that is not finite are left out.
    lengths : ndarray of int64, shape (n_delta, 2, m)
        Lengths of the episodes.

    Returns
    -------
    statistic, p : float
        NaN if no regressor varies, or if there are not at least 2 more pairs than regressors.
    """
    n_delta, _, m = returns.shape
    unit, n = _unit(returns), 0
    shared, regressors = np.empty(n_delta), np.empty((2, n_delta))
    for i in range(n_delta):
        plus, minus, length = 0.0, 0.0, 0
        for e in range(m):
            plus += returns[i, 0, e] / unit
            minus += returns[i, 1, e] / unit
            length += lengths[i, 0, e] + lengths[i, 1, e]
        if math.isfinite(plus) and math.isfinite(minus):
            shared[n], regressors[0, n], regressors[1, n] = 0.5 * (plus + minus) / m, abs(plus - minus) / m, 0.5 * length / m
            n += 1
    shared, regressors = shared[:n], np.ascontiguousarray(regressors[:, :n])
    _center(shared)
    rest = shared * shared
    total = _center(rest)
    n_regressors = 0
    for r in range(2):  # the part that one regressor explains is taken out of the other, and out of the rest
        own = _center(regressors[r])
        if r == 1 and n_regressors == 1:
            _take_out(regressors[1], regressors[0])
        if _dot(regressors[r], regressors[r]) > 1e-20 * own:
            _take_out(rest, regressors[r])
            n_regressors += 1
    if n_regressors == 0 or n < n_regressors + 2 or total == 0.0:
        return np.nan, np.nan
    statistic = n * max(0.0, 1.0 - _dot(rest, rest) / total)
    return statistic, math.exp(-0.5 * statistic) if n_regressors == 2 else math.erfc(math.sqrt(0.5 * statistic))


@kernel
def _center(x):
    """Subtract the mean from x (exactly, if all entries are equal); return the sum of squares that is left."""
    n, total = x.shape[0], 0.0
    first = x[0] if n > 0 else 0.0
    for k in range(n):
        x[k] -= first
        total += x[k]
    for k in range(n):
        x[k] -= total / n
    return _dot(x, x)


@kernel
def _take_out(x, y):
    """Subtract the projection onto y from x."""
    along = _dot(x, y) / _dot(y, y)
    for k in range(x.shape[0]):
        x[k] -= along * y[k]


@kernel
def _dot(x, y):
    total = 0.0
    for k in range(x.shape[0]):
        total += x[k] * y[k]
    return total
