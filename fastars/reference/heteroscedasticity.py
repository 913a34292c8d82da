"""Tests of whether the noise of returns is the same for all directions."""

import math

import numpy as np


def brown_forsythe(returns):
    """(statistic, p) of Brown and Forsythe's test that all candidates, returns (n_delta, 2, m), have one variance.

    Z = |R - median of the candidate's m episodes| of K candidates: (K (m - 1) / (K - 1)) sum m (Z_g - Z)^2 / sum (Z - Z_g)^2 is an
    F of K - 1 and K (m - 1) degrees of freedom. NaN for fewer than 3 episodes or 2 candidates, or if Z varies within none.
    """
    m = returns.shape[2]
    episodes = returns.reshape(-1, m) / _unit(returns)
    episodes = episodes[np.isfinite(episodes).all(axis=1)]
    k = len(episodes)
    if m < 3 or k < 2:
        return math.nan, math.nan
    z = np.abs(episodes - np.median(episodes, axis=1, keepdims=True))
    means = [_sum(row) / m for row in z.tolist()]
    mean = _sum(means) / k
    between = _sum(m * (own - mean) * (own - mean) for own in means)
    within = _sum((value - own) * (value - own) for row, own in zip(z.tolist(), means, strict=True) for value in row)
    if within == 0.0:
        return math.nan, math.nan
    d1, d2 = k - 1.0, k * (m - 1.0)
    statistic = d2 / d1 * (between / within)
    return statistic, _f_tail(statistic, d1, d2)


def _f_tail(statistic, d1, d2):
    """Return P(F >= statistic) = I_x(d2 / 2, d1 / 2) of x = d2 / (d2 + d1 statistic)."""
    x, rest = d2 / (d2 + d1 * statistic), d1 * statistic / (d2 + d1 * statistic)
    a, b = d2 / 2, d1 / 2
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _incomplete_beta(rest, x, b, a)
    return _incomplete_beta(x, rest, a, b)


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


def koenker(returns, lengths):
    """Return (statistic, p) of Koenker's test that a pair's noise depends on neither slope nor length.

    R are means over the m episodes, of returns and lengths (n_delta, 2, m). With e_k = (R[k, 0] + R[k, 1]) / 2, the squares of
    e_k - mean(e) are regressed on |R[k, 0] - R[k, 1]| and the pair's mean length. N R^2 is a chi-squared variable with as many
    degrees of freedom as regressors vary. NaN if no regressor varies, or for too few pairs.
    """
    m, finite = returns.shape[2], np.isfinite(returns).all(axis=(1, 2))
    pairs = np.add.accumulate(returns[finite] / _unit(returns), axis=2)[:, :, -1]  # NumPy's sum may take pairs
    pair_lengths = lengths[finite].sum(axis=(1, 2))
    n = len(pairs)
    shared = _centered(0.5 * (pairs[:, 0] + pairs[:, 1]) / m)
    explained = _centered(shared * shared)
    rest, used = explained, list[np.ndarray]()
    for regressor in (np.abs(pairs[:, 0] - pairs[:, 1]) / m, 0.5 * pair_lengths / m):
        own = x = _centered(regressor)
        for other in used:
            x = _without(x, other)
        if _dot(x, x) > 1e-20 * _dot(own, own):
            rest = _without(rest, x)
            used.append(x)
    if not used or n < len(used) + 2 or _dot(explained, explained) == 0.0:
        return math.nan, math.nan
    statistic = n * max(0.0, 1.0 - _dot(rest, rest) / _dot(explained, explained))
    return statistic, math.exp(-0.5 * statistic) if len(used) == 2 else math.erfc(math.sqrt(0.5 * statistic))


def _unit(returns):
    """Return a power of two near the largest finite return: in this unit, squares stay in the range of float64."""
    return math.ldexp(1.0, math.frexp(np.abs(returns[np.isfinite(returns)]).max(initial=0.0))[1] - 1)


def _centered(x):
    """Return x minus its mean; exactly 0 if all entries are equal."""
    x = x - x[:1]
    return x - _sum(x.tolist()) / max(len(x), 1)


def _without(x, y):
    """Return x minus its projection onto y."""
    return x - _dot(x, y) / _dot(y, y) * y


def _dot(x, y):
    return _sum((x * y).tolist())


def _sum(values):
    """Add up from the first value to the last."""
    total = 0.0
    for value in values:
        total += value
    return total
