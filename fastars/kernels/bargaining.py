"""Weights that solve G w = w^(-1/alpha), the fair deal among T tasks whose gradients have the Gram matrix G, G_ij = g_i . g_j.

An indefinite G is replaced by `positive_gram(G)`. Symbols: u_i = 2^e_i w_i are weights of gradients g_i / 2^e_i, whose norms are
between 1/2 and 1, C their Gram matrix, rho = C u their rates; S_i = sum over j of |C_ij| u_j, and S_i / rho_i tells how much of a
task's rate is cancelled.
"""

import math

import numpy as np

from fastars._compiled.jit import inline, kernel
from fastars.kernels.nonnegative import nonnegative_minimum, room_for
from fastars.kernels.symmetric import positive_gram, solve

EPS = 2.0**-52
LOST = 0.5  # part of a rate that rounding may be, where gradients count as cancelling each other
SMALL = math.log(1e-3)  # logarithm of a part of every rate that moves none of them
STRIDE = 0.8  # largest relative change of a rate or a weight in a step
_LOG_2 = math.log(2.0)
_SPLIT = 2.0**27 + 1.0  # splits a float64 into two halves of 26 bits (Dekker 1971)


@kernel
def nash_mtl(gram):
    """Return weights a with G a = 1 / a: no task can gain more, in per cent, than others lose (Navon et al. 2022).

    Nash-MTL. The direction conflicts with no task, and its square length is the number of tasks: a'Ga = T. (Differs from the
    paper's code and TorchJD, which shorten it to 1 if it is longer.) A gradient that is twice as long gets half the weight.

    Parameters
    ----------
    gram : ndarray of float64, shape (T, T)
        G of the module's docstring.

    Returns
    -------
    ndarray of float64, shape (T,)
        As for `fairgrad`.
    """
    return fairgrad(gram, 1.0)


@kernel
def fairgrad(gram, alpha):
    """Return weights w with G w = w^(-1/alpha), an alpha-fair deal among the tasks' rates (Ban & Ji 2024, FairGrad).

    alpha = 1 is proportional fairness (`nash_mtl`), a small one comes near equal weights, a large one near max-min fairness. The
    sides of the equation differ by less than 1e-12 of the sum over j of |G_ij| w_j; the rounding of w alone is 1e-16 of it.
    Nash-MTL's weights come first, by 5 to 80 Newton steps. For another alpha, 5 to 200 steps follow the solution from there.

    Parameters
    ----------
    gram : ndarray of float64, shape (T, T)
        G of the module's docstring.
    alpha : float
        From 0.1 to 100.

    Returns
    -------
    ndarray of float64, shape (T,)
        Positive; 0 for a task without a gradient, or where the solution is below the range of float64. Where gradients cancel each
        other up to 1e-14 of their size, there is no solution: the weights are those with which they cancel, about 1e7 / |g_i|. If
        a solution lets them cancel so far (with a small alpha), the weights stop where rates are 1e-14 of their sums.
    """
    matrix, weights = positive_gram(gram), np.zeros(gram.shape[0])
    index = np.flatnonzero(np.diag(matrix) > 0.0)
    n = index.shape[0]
    if n == 0:
        return weights
    exponents, scaled = np.empty(n, np.int64), np.empty((n, n))
    for i in range(n):
        exponents[i] = math.frexp(math.sqrt(matrix[index[i], index[i]]))[1]
        for j in range(i + 1):
            scaled[i, j] = scaled[j, i] = math.ldexp(matrix[index[i], index[j]], -exponents[i] - exponents[j])
    u, is_solved = _balanced(scaled)
    factor, logs, shift = 1.0, np.zeros(n), 0.0
    if not is_solved:
        _keep_harmless(scaled, u)
        factor = 2.0 ** (exponents.max() * (1.0 - alpha) / (1.0 + alpha))
    elif alpha != 1.0:
        logs = np.log(u)
        shift = _follow(scaled, (1.0 - alpha) * _LOG_2 * exponents, alpha, u, logs)
        factor = math.exp(shift)
    for i in range(n):
        if u[i] > 1e-200 or math.isnan(shift):
            weights[index[i]] = math.ldexp(u[i], -exponents[i]) * factor
        else:
            weights[index[i]] = math.exp(logs[i] + shift - exponents[i] * _LOG_2)
    return weights


@kernel
def _balanced(matrix):
    """Return (u with C u = 1 / u, True), or False where it would let gradients cancel beyond rounding.

    u is the minimum of 1/2 u'Cu - sum(log u), which is self-concordant: Newton steps of length 1 / (1 + decrement) find it.
    """
    n = matrix.shape[0]
    u, rates, sizes, relative = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        u[i] = 1.0 / math.sqrt(matrix[i, i])
    n_done = 0
    for _ in range(200):
        _rates(matrix, u, rates, sizes)
        lost, is_done = 0.0, True
        for i in range(n):
            relative[i] = 1.0 - u[i] * rates[i]
            lost = max(lost, 4.0 * EPS * u[i] * sizes[i])
            is_done &= abs(relative[i]) <= 4.0 * EPS * u[i] * sizes[i]
        if lost > LOST:
            return u, False
        n_done = n_done + 1 if is_done else 0
        if n_done == 3:  # two more steps bring the digits that rounding leaves
            return u, True
        gaps = relative.copy()
        solve(_factored(matrix, u, 1.0), relative)
        square, most = 0.0, 1e-300
        for i in range(n):
            square += gaps[i] * relative[i]
            most = max(most, -relative[i])
        step = 1.0 / (1.0 + math.sqrt(square)) if square > 0.0625 else 1.0
        step = min(step, 0.99 / most)
        for i in range(n):
            u[i] *= 1.0 + step * relative[i]
    return np.full(n, np.nan), True


@kernel
def _keep_harmless(matrix, u):
    """Add the least that leaves no rate below 0: Newton's steps stopped on the way."""
    rates, sizes = np.empty(u.shape[0]), np.empty(u.shape[0])
    _rates(matrix, u, rates, sizes)
    u += nonnegative_minimum(matrix, -rates, sizes, room_for(u.shape[0]))


@kernel
def _follow(matrix, wanted, alpha, u, logs):
    """Solve log u + alpha log rho = wanted from a positive u with C u > 0; return a number to add to log u, or NaN.

    The start solves the equation for another right-hand side. Newton steps follow the solution from there to the wanted one, so far
    in a step that no rate changes by more than a part of it, nor a weight, unless it is too small to move a rate. `u` and `logs`
    are written.
    """
    n = matrix.shape[0]
    rates, sizes, gaps, first = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    left, common = 1.0, 0.0
    for step in range(400):
        _rates(matrix, u, rates, sizes)
        common, is_solved = _gaps(wanted, alpha, logs, rates, sizes, gaps)
        if left == 0.0 and is_solved:
            return -common / (1.0 + alpha)
        mean = gaps.sum() / n
        for i in range(n):
            gaps[i] -= mean
            first[i] = gaps[i] if step == 0 else first[i]
        left *= 1.0 - _step(matrix, alpha, u, logs, rates, left * first - gaps, -left * first)
        left = 0.0 if left < 1e-12 else left
    return -common / (1.0 + alpha) if (sizes / rates).max() > 1.0 / (64.0 * EPS) else np.nan


@kernel
def _gaps(wanted, alpha, logs, rates, sizes, gaps):
    """Write log u + alpha log rho - wanted; return (its mean, weighted by accuracy, True if all equal it up to rounding)."""
    total, mean = 0.0, 0.0
    for i in range(gaps.shape[0]):
        rates[i] = max(rates[i], EPS * sizes[i])
        gaps[i] = logs[i] + alpha * math.log(rates[i]) - wanted[i]
        accuracy = (rates[i] / sizes[i]) ** 2
        total += accuracy
        mean += accuracy * gaps[i]
    mean /= total
    is_solved = True
    for i in range(gaps.shape[0]):
        rounding = alpha * (sizes[i] / rates[i] + abs(math.log(rates[i]))) + abs(logs[i]) + abs(wanted[i])
        is_solved &= abs(gaps[i] - mean) <= 32.0 * EPS * rounding
    return mean, is_solved


@kernel
def _step(matrix, alpha, u, logs, rates, gap_here, gap_ahead):
    """Move u and log u back to the path, and along it as far as the bounds allow; return the part of the way along it."""
    n = matrix.shape[0]
    share, reach = np.sqrt(u / rates), np.empty(n)  # reach: how much log u may grow before the weight moves a rate
    for i in range(n):
        largest = 0.0
        for j in range(n):
            largest = max(largest, abs(matrix[j, i]) / rates[j])
        reach[i] = SMALL - logs[i] - math.log(largest)
    lower = _factored(matrix, share, alpha)
    near, near_rates = _direction(matrix, alpha, u, rates, lower, reach, gap_here)
    ahead, ahead_rates = _direction(matrix, alpha, u, rates, lower, reach, gap_ahead)
    back, done = 1.0, 1.0
    for i in range(n):
        low, high = (-np.inf, max(STRIDE, reach[i])) if reach[i] > 0.0 else (-STRIDE, STRIDE)
        back = min(back, _furthest(0.0, near[i], low, high), _furthest(0.0, near_rates[i], -STRIDE, STRIDE))
        done = min(done, _furthest(near[i], ahead[i], low, high), _furthest(near_rates[i], ahead_rates[i], -STRIDE, STRIDE))
    done = done if back == 1.0 else 0.0
    _move(u, logs, back * near + done * ahead, reach)
    return done


@kernel
def _direction(matrix, alpha, u, rates, lower, reach, gap):
    """Return the relative changes of u and of the rates by which log u + alpha log rho changes by `gap`, to first order."""
    n = matrix.shape[0]
    y, change, of_rates = np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        y[i] = math.sqrt(u[i] * rates[i]) * gap[i]
    solve(lower, y)
    for i in range(n):
        change[i] = y[i] / max(math.sqrt(u[i] * rates[i]), 1e-300)
        y[i] *= math.sqrt(u[i] / rates[i])
    _rates(matrix, y, of_rates, np.empty(n))
    for i in range(n):
        of_rates[i] /= rates[i]
        if reach[i] > 0.0:  # the weight itself may be 0 in float64
            change[i] = gap[i] - alpha * of_rates[i]
    return change, of_rates


@inline
def _furthest(start, direction, low, high):
    """Return the t from 0 to 1 up to which start + t direction stays between the bounds."""
    if direction == 0.0:
        return 1.0
    return max(0.0, min(1.0, ((high if direction > 0.0 else low) - start) / direction))


@kernel
def _move(u, logs, change, reach):
    """Change u and log u by relative changes; those of small weights are changes of the logarithm."""
    largest = 0.0
    for i in range(u.shape[0]):
        if reach[i] > 0.0:
            logs[i] += change[i]
        else:
            u[i] *= 1.0 + change[i]
            logs[i] = math.log(max(u[i], 1e-300))
            largest = max(largest, u[i])
    unit = -round(math.log2(largest))
    for i in range(u.shape[0]):
        logs[i] += unit * _LOG_2
        u[i] = math.exp(logs[i]) if reach[i] > 0.0 else math.ldexp(u[i], unit)


@kernel
def _factored(matrix, share, alpha):
    """Return the L of L L' = I + alpha diag(share) C diag(share). Without rounding, no pivot is below 1."""
    n = matrix.shape[0]
    lower = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            value = alpha * (share[i] * matrix[i, j] * share[j])
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            lower[i, j] = value / lower[j, j] if j < i else math.sqrt(max(1.0, 1.0 + value))
    return lower


@kernel
def _rates(matrix, u, rates, sizes):
    """Write rho = C u and S. The products of a rate are added as if in twice the precision (Ogita, Rump & Oishi 2005)."""
    for i in range(u.shape[0]):
        total, rest, sizes[i] = 0.0, 0.0, 0.0
        for j in range(u.shape[0]):
            product = matrix[i, j] * u[j]
            left, right = _SPLIT * matrix[i, j], _SPLIT * u[j]
            left, right = left - (left - matrix[i, j]), right - (right - u[j])
            low_left, low_right = matrix[i, j] - left, u[j] - right
            before = total
            total += product
            added = total - before
            rest += (before - (total - added)) + (product - added)
            rest += low_left * low_right - (((product - left * right) - low_left * right) - left * low_right)
            sizes[i] += abs(product)
        rates[i] = total + rest
