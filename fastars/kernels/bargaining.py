"""Weights that solve G w = w^(-1/alpha), the fair deal among T tasks whose gradients have the Gram matrix G, G_ij = g_i . g_j.

An indefinite G is replaced by `positive_gram(G)`.
"""

import math

import numpy as np

from fastars._compiled.jit import kernel
from fastars.kernels.symmetric import factor, positive_gram, solve

RIDGE = 1e-13  # this part of its diagonal is added to G, so that weights stay finite where gradients cancel each other


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
        Positive; 0 for a task without a gradient. Where gradients cancel each other there is no solution, and weights grow up to
        3e6 / |g_i|.
    """
    return fairgrad(gram, 1.0)


@kernel
def fairgrad(gram, alpha):
    """Return weights w with G w = w^(-1/alpha), an alpha-fair deal among the tasks' rates (Ban & Ji 2024, FairGrad).

    alpha = 1 is proportional fairness (`nash_mtl`), a small one comes near equal weights, a large one near max-min fairness. The
    weights minimise the convex function 1/2 w'Gw - sum of the integrals of w_i^(-1/alpha). They are found by damped Newton steps,
    which start at the solution for orthogonal gradients and end at a residual of 1e-13 (5 to 14 steps for random gradients).

    Parameters
    ----------
    gram : ndarray of float64, shape (T, T)
        G of the module's docstring.
    alpha : float
        From 0.1 to 100. Beyond, the number of steps may not be enough.

    Returns
    -------
    ndarray of float64, shape (T,)
        Positive; 0 for a task without a gradient.
    """
    n, power = gram.shape[0], 1.0 / alpha
    matrix, weights = positive_gram(gram), np.zeros(gram.shape[0])
    index = np.flatnonzero(np.diag(matrix) > 0.0)
    for i in index:
        matrix[i, i] += RIDGE * matrix[i, i]
        weights[i] = math.pow(matrix[i, i], -1.0 / (1.0 + power))
    rates, gradient = np.zeros(n), np.zeros(n)
    for _ in range(100):  # 14 are enough for alpha up to 10, 70 for 100; a singular matrix may have no solution
        if _rates(matrix, index, power, weights, rates, gradient) <= 1e-13:
            break
        direction = _newton(matrix, index, power, weights, rates, gradient)
        _descend(matrix, index, power, weights, rates, gradient, direction)
    return weights


@kernel
def _rates(matrix, index, power, weights, rates, gradient):
    """Write w^-power to `rates` and G w - w^-power to `gradient`; return the largest ratio of the two."""
    worst = 0.0
    for i in index:
        rates[i] = math.pow(weights[i], -power)
        gradient[i] = -rates[i]
        for j in index:
            gradient[i] += matrix[i, j] * weights[j]
        worst = max(worst, abs(gradient[i]) / rates[i])
    return worst


@kernel
def _newton(matrix, index, power, weights, rates, gradient):
    """Return the Newton step."""
    m = index.shape[0]
    hessian, lower = np.empty((m, m)), np.empty((m, m))
    inner = np.empty(m)
    for a in range(m):
        for b in range(m):
            hessian[a, b] = matrix[index[a], index[b]]
        hessian[a, a] += power * rates[index[a]] / weights[index[a]]
        inner[a] = -gradient[index[a]]
    factor(hessian, np.arange(m), lower)
    solve(lower, inner)
    direction = np.zeros(matrix.shape[0])
    for a in range(m):
        direction[index[a]] = inner[a]
    return direction


@kernel
def _descend(matrix, index, power, weights, rates, gradient, direction):
    """Move the weights along a direction, less far where the slope would be steep the other way; they stay positive."""
    slope, step = 0.0, 1.0
    for i in index:
        slope += gradient[i] * direction[i]
        if direction[i] < 0.0:
            step = min(step, -0.99 * weights[i] / direction[i])
    start = weights.copy()
    while True:
        for i in index:
            weights[i] = start[i] + step * direction[i]
        _rates(matrix, index, power, weights, rates, gradient)
        turned = 0.0
        for i in index:
            turned += gradient[i] * direction[i]
        if turned <= -0.9 * slope or step < 1e-12:
            return
        step *= 0.5
