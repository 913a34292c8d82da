"""From returns to a step.

Paper symbols (Mania, Guy & Recht 2018, Algorithms 1 and 2): R (n_delta, 2) are the returns r(theta + nu delta_i) and
r(theta - nu delta_i); n_delta is N, n_top is b, learning_rate is alpha, and

    theta += alpha / (b sigma_R) * sum over the top b directions of (R[i, 0] - R[i, 1]) delta_i

so step = alpha * weighted_sum(direction_weights(...)). Every sum runs from the first entry to the last.
"""

import math

import numpy as np

NONFINITE, FAILED = 3, 5


def candidate_returns(returns, lengths, status, offset):
    """Mean of return + offset * length over a candidate's E episodes: (n_delta, 2, E) -> (n_delta, 2). NaN if one is not finite."""
    total = np.zeros(returns.shape[:2])
    for e in range(returns.shape[2]):
        episode = np.where(status[:, :, e] == NONFINITE, np.nan, returns[:, :, e])
        total = total + (np.where(np.isfinite(episode), episode, np.nan) + offset * lengths[:, :, e])
    return total / returns.shape[2]


def finite_pairs(returns):
    """Which directions have two finite returns: bool (n_delta,)."""
    return np.isfinite(returns).all(axis=1)


def penalized_returns(returns, status):
    """R* = R where that is finite, otherwise the least finite entry of R: (n_delta, 2).

    As they were: pairs without a finite return, and those with a `FAILED` episode (status, (n_delta, 2, E)).
    """
    finite = np.isfinite(returns)
    has_failed = (status == FAILED).any(axis=(1, 2))
    is_penalized = ~finite & (finite.any(axis=1) & ~has_failed)[:, np.newaxis]
    return np.where(is_penalized, returns[finite].min(initial=np.inf), returns)


def top_directions(returns, n_top, keep_ties):
    """The directions with the largest max(R[i, 0], R[i, 1]), ascending, among the finite pairs.

    Without `keep_ties` exactly n_top, the first of equals first; with it, all that reach the percentile 100 (1 - n_top / N).
    """
    finite = np.flatnonzero(finite_pairs(returns))
    if n_top >= len(finite):
        return finite
    score = returns[finite].max(axis=1)
    if keep_ties:
        return finite[score >= np.percentile(score, 100 * (1 - n_top / len(finite)))]
    return finite[np.sort(np.argsort(-score, kind="stable")[:n_top])]


def return_std(returns, selected, ddof):
    """sigma_R, the deviation of the 2b returns of the selected directions; 0 for no more than `ddof` returns.

    In units of a power of two near the largest of them, so that neither 1e300 nor 1e-300 leaves the range of its square, and as
    differences from the first, so that equal returns deviate by exactly 0.
    """
    used = returns[selected].ravel()
    if len(used) <= ddof:
        return 0.0
    exponent = math.frexp(np.abs(used).max())[1]
    x = np.ldexp(used, -exponent)
    x = x - x[0]
    mean = _sum(x) / len(x)
    variance = _sum((x - mean) * (x - mean)) / (len(x) - ddof)
    with np.errstate(over="ignore"):  # of 1.7e308 and -1.7e308 it may be infinite
        return float(np.ldexp(math.sqrt(variance), exponent))


def _sum(values):
    """Sum from the first to the last (`np.sum` takes pairs)."""
    total = 0.0
    for value in values:
        total += float(value)
    return total


def direction_weights(returns, selected, n_divisor, std, std_epsilon):
    """(R[i, 0] - R[i, 1]) / (n_divisor * std + std_epsilon) of the selected directions; all 0 where that divisor is 0."""
    divisor = n_divisor * std + std_epsilon
    if divisor == 0.0:
        return np.zeros(len(selected))
    return (0.5 * returns[selected, 0] - 0.5 * returns[selected, 1]) / (0.5 * divisor)  # in halves: it may be 1e308


def weighted_sum(weights, noise, indices, out):
    """Write the sum over i of weights[i] * delta_i to `out` (float64); delta_i begins at noise[indices[i]]."""
    out[:] = 0.0
    for weight, i in zip(weights, indices, strict=True):
        out += weight * noise[i : i + len(out)].astype(np.float64)


def weighted_sums(weights, noise, indices, n_weights):
    """The sum over i of weights[i] * delta_i as a new array (n_weights,)."""
    out = np.empty(n_weights)
    weighted_sum(weights, noise, indices, out)
    return out


def centered_ranks(returns):
    """Ranks of all 2N returns, spread evenly over [-0.5, 0.5]; equal returns share their mean rank. NaN for pairs not finite."""
    finite = finite_pairs(returns)
    values = returns[finite].ravel()
    below = (values[:, np.newaxis] > values).sum(axis=1)
    equal = (values[:, np.newaxis] == values).sum(axis=1)
    ranks = 0.5 * (2 * below + equal - 1)
    shaped = np.full(returns.shape, np.nan)
    shaped[finite] = (ranks / max(len(values) - 1, 1) - 0.5).reshape(-1, 2)
    return shaped


def sign_returns(returns):
    """(0.5, -0.5) where the first of a pair is larger, (-0.5, 0.5) where the second is, 0 for equals. NaN for pairs not finite."""
    finite = finite_pairs(returns)
    shaped = np.full(returns.shape, np.nan)
    plus, minus = returns[finite].T
    sign = 0.5 * (plus > minus) - 0.5 * (plus < minus)
    shaped[finite] = np.stack([sign, -sign], axis=1)
    return shaped


def sgd_step(velocity, gradient, learning_rate, momentum, weight_decay, theta):
    """Ascent, (v, step): v = momentum v + (1 - momentum) g, step = learning_rate v - learning_rate weight_decay theta."""
    velocity = momentum * velocity + (1.0 - momentum) * gradient
    return velocity, learning_rate * velocity - learning_rate * weight_decay * theta


def adam_step(m, v, t, gradient, learning_rate, beta1, beta2, epsilon, weight_decay, theta):
    """Step number t (the first is 1) of Adam (Kingma & Ba 2015, the efficient form at the end of section 2): (m, v, step)."""
    m = beta1 * m + (1.0 - beta1) * gradient
    v = beta2 * v + (1.0 - beta2) * (gradient * gradient)
    alpha = learning_rate * math.sqrt(1.0 - math.pow(beta2, t)) / (1.0 - math.pow(beta1, t))
    return m, v, alpha * m / (np.sqrt(v) + epsilon) - learning_rate * weight_decay * theta
