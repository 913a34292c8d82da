"""From returns to a step.

Paper symbols (Mania, Guy & Recht 2018, Algorithms 1 and 2): R (n_delta, 2) are the returns r(theta + nu delta_i) and
r(theta - nu delta_i); n_delta is N, n_top is b, learning_rate is alpha, and

    theta += alpha / (b sigma_R) * sum over the top b directions of (R[i, 0] - R[i, 1]) delta_i

so step = alpha * weighted_sum(direction_weights(...)). Every sum runs from the first entry to the last.
"""

import math

import numpy as np
from numba import prange

from fastars._compiled.jit import inline, kernel, parallel
from fastars._compiled.structs import FAILED, NONFINITE

SUM_BLOCK = 4096  # columns of a weighted sum at a time: 32 kB of float64, which stay in the first cache


@kernel
def candidate_returns(returns, lengths, status, offset):
    """What each candidate is worth: the mean of return + offset * length over its episodes.

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
    """Which directions have two finite returns.

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
def penalized_returns(returns, status):
    """Returns in which a candidate whose own is not finite has the worst of the iteration (`on_nonfinite="penalize"`).

    R*[i, s] = R[i, s] where that is finite, otherwise the least finite entry of R: the step then leads away from such a candidate,
    towards the other of its pair.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, NaN or infinite where one failed.
    status : ndarray of int64, shape (n_delta, 2, n_episodes)
        As in `Rollouts`.

    Returns
    -------
    ndarray of float64, shape (n_delta, 2)
        As they were in pairs without a finite return, which have no better side, and in pairs with an episode that `FAILED`: what
        went wrong there was the environment, not the candidate.
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
def ascending_order(values):
    """Stable order of `values` without NaN, by a bottom-up merge sort (`np.argsort(kind="mergesort")` compiles 4 times as long)."""
    n = values.shape[0]
    order, merged = np.empty(n, np.int64), np.empty(n, np.int64)
    for k in range(n):
        order[k] = k
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


@inline
def _percentile(values, q):
    """`np.percentile(values, q)` of ascending values, its linear rule to the bit."""
    position = (values.shape[0] - 1) * (q / 100.0)
    below = math.floor(position)
    low = values[below]
    high = values[min(below + 1, values.shape[0] - 1)]
    t = position - below
    return high - (high - low) * (1.0 - t) if t >= 0.5 else low + (high - low) * t


@kernel
def top_directions(returns, n_top, keep_ties):
    """The directions with the largest max(R[i, 0], R[i, 1]), among those with two finite returns.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, NaN or infinite where one failed.
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
    order = ascending_order(score[:n])  # of the negated score: the largest first, and of equals the lowest index
    wanted = np.zeros(n, np.bool_)
    if keep_ties:
        ascending = np.empty(n)
        for k in range(n):
            ascending[n - 1 - k] = -score[order[k]]
        cut = _percentile(ascending, 100.0 * (1.0 - n_top / n))
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
    """sigma_R: the standard deviation of the 2 b returns of the selected directions.

    In units of a power of two near the largest of them, so that neither 1e300 nor 1e-300 leaves the range of its square, and as
    differences from the first, so that equal returns deviate by exactly 0.

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
        0.0 for no more than `ddof` returns.
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
    """How much each selected direction counts: (R[i, 0] - R[i, 1]) / (n_divisor * std + std_epsilon).

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, NaN or infinite where one failed.
    selected : ndarray of int64, shape (b,)
        Directions with two finite returns.
    n_divisor : int or float
        Directions that the sum is divided by.
    std, std_epsilon : float
        sigma_R, and what is added to its product with `n_divisor`.

    Returns
    -------
    ndarray of float64, shape (b,)
        All 0 where the divisor is 0: returns that are all equal leave theta as it is. Computed in halves, which changes no bit but
        where the difference itself would be infinite.
    """
    weights = np.zeros(selected.shape[0])
    divisor = n_divisor * std + std_epsilon
    if divisor != 0.0:
        for k in range(selected.shape[0]):
            weights[k] = (0.5 * returns[selected[k], 0] - 0.5 * returns[selected[k], 1]) / (0.5 * divisor)
    return weights


@kernel
def weighted_sum(weights, noise, indices, out):
    """The sum over i of weights[i] * delta_i, straight from the noise table.

    Adds the directions in their order in float64, so columns can be shared out among threads and the bits stay the same:
    `weighted_sum(weights, noise, indices + a, out[a:b])`.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
        Weights of the directions.
    noise : ndarray of float32, shape (n_noise,)
        The noise table.
    indices : ndarray of int64, shape (n,)
        Direction i starts at noise[indices[i]].
    out : ndarray of float64, shape (n_weights,)
        Written.
    """
    n = weights.shape[0]
    for begin in range(0, out.shape[0], SUM_BLOCK):
        total = out[begin : begin + SUM_BLOCK]
        size = total.shape[0]
        for k in range(size):
            total[k] = 0.0
        for i in range(0, n - n % 8, 8):
            _add_eight(weights[i:], noise[begin:], indices[i:], total)
        for i in range(n - n % 8, n):
            a, a_weight = noise[indices[i] + begin :], weights[i]
            for k in range(size):
                total[k] += a_weight * a[k]


@inline
def _add_eight(weights, noise, indices, total):
    """Add the next eight weighted directions, in their order.

    One at a time, the block of sums is read and written for each: 12 GB/s on two cores, four at a time 27, eight 33. Through views:
    indexing the table itself, with a number that could be negative for all that LLVM knows, does not vectorise.
    """
    a, b, c, d = noise[indices[0] :], noise[indices[1] :], noise[indices[2] :], noise[indices[3] :]
    e, f, g, h = noise[indices[4] :], noise[indices[5] :], noise[indices[6] :], noise[indices[7] :]
    v0, v1, v2, v3, v4, v5, v6, v7 = weights[0], weights[1], weights[2], weights[3], weights[4], weights[5], weights[6], weights[7]
    for k in range(total.shape[0]):
        first = (((total[k] + v0 * a[k]) + v1 * b[k]) + v2 * c[k]) + v3 * d[k]
        total[k] = (((first + v4 * e[k]) + v5 * f[k]) + v6 * g[k]) + v7 * h[k]


@parallel
def weighted_sums(weights, noise, indices, n_weights):
    """The sum over i of weights[i] * delta_i, in parallel over blocks of columns.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
        Weights of the directions.
    noise : ndarray of float32, shape (n_noise,)
        The noise table.
    indices : ndarray of int64, shape (n,)
        Direction i starts at noise[indices[i]].
    n_weights : int
        Columns.

    Returns
    -------
    ndarray of float64, shape (n_weights,)
        The same bits for any number of threads.
    """
    out = np.empty(n_weights)
    for block in prange(-(-n_weights // SUM_BLOCK)):
        begin = block * SUM_BLOCK
        weighted_sum(weights, noise[begin:], indices, out[begin : begin + SUM_BLOCK])
    return out


@kernel
def centered_ranks(returns):
    """Ranks of all returns, spread evenly over [-0.5, 0.5] (Salimans et al. 2017, "Evolution strategies", section 2).

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, NaN or infinite where one failed.

    Returns
    -------
    ndarray of float64, shape (n_delta, 2)
        Equal returns share the mean of their ranks. NaN for pairs that are not finite.
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
    """Which candidate of a pair was better, and no more.

    Parameters
    ----------
    returns : ndarray of float64, shape (n_delta, 2)
        Returns of the pairs, NaN or infinite where one failed.

    Returns
    -------
    ndarray of float64, shape (n_delta, 2)
        (0.5, -0.5) where the first is larger, (-0.5, 0.5) where the second is, 0 for equals, NaN for pairs that are not finite.
    """
    finite = finite_pairs(returns)
    shaped = np.empty(returns.shape)
    for i in range(returns.shape[0]):
        plus, minus = returns[i, 0], returns[i, 1]
        sign = 0.5 if plus > minus else (-0.5 if plus < minus else 0.0)
        shaped[i, 0] = sign if finite[i] else np.nan
        shaped[i, 1] = -sign if finite[i] else np.nan
    return shaped


@kernel
def sgd_step(velocity, gradient, learning_rate, momentum, weight_decay, theta):
    """A step of gradient ascent with momentum: theta += step.

    Parameters
    ----------
    velocity, gradient, theta : ndarray of float64, shape (n_weights,)
        Velocity (zeros at the start), gradient, and weights of the policy.
    learning_rate, momentum, weight_decay : float
        As in the formulas below.

    Returns
    -------
    velocity : ndarray of float64, shape (n_weights,)
        momentum * velocity + (1 - momentum) * gradient.
    step : ndarray of float64, shape (n_weights,)
        learning_rate * velocity - learning_rate * weight_decay * theta.
    """
    n_weights = theta.shape[0]
    new_velocity, step = np.empty(n_weights), np.empty(n_weights)
    decay = learning_rate * weight_decay
    for k in range(n_weights):
        new_velocity[k] = momentum * velocity[k] + (1.0 - momentum) * gradient[k]
        step[k] = learning_rate * new_velocity[k] - decay * theta[k]
    return new_velocity, step


@kernel
def adam_step(m, v, t, gradient, learning_rate, beta1, beta2, epsilon, weight_decay, theta):
    """A step of Adam, upwards: theta += step (Kingma & Ba 2015, the efficient form at the end of section 2).

    Parameters
    ----------
    m, v, gradient, theta : ndarray of float64, shape (n_weights,)
        m and v are the running means of the gradient and of its square, zeros at the start.
    t : int
        Number of this step; the first is 1.
    learning_rate, beta1, beta2, epsilon, weight_decay : float
        As in the formulas below.

    Returns
    -------
    m, v : ndarray of float64, shape (n_weights,)
        beta1 * m + (1 - beta1) * gradient, beta2 * v + (1 - beta2) * gradient**2.
    step : ndarray of float64, shape (n_weights,)
        learning_rate * sqrt(1 - beta2**t) / (1 - beta1**t) * m / (sqrt(v) + epsilon) - learning_rate * weight_decay * theta.
    """
    n_weights = theta.shape[0]
    new_m, new_v, step = np.empty(n_weights), np.empty(n_weights), np.empty(n_weights)
    alpha = learning_rate * math.sqrt(1.0 - math.pow(beta2, t)) / (1.0 - math.pow(beta1, t))
    decay = learning_rate * weight_decay
    for k in range(n_weights):
        new_m[k] = beta1 * m[k] + (1.0 - beta1) * gradient[k]
        new_v[k] = beta2 * v[k] + (1.0 - beta2) * (gradient[k] * gradient[k])
        step[k] = alpha * new_m[k] / (math.sqrt(new_v[k]) + epsilon) - decay * theta[k]
    return new_m, new_v, step
