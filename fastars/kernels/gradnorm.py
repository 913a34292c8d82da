"""GradNorm (Chen et al. 2018, arXiv 1711.02257), computed from the norms of the tasks' gradients.

The gradient of a weighted loss is w_i times the gradient of the loss. So GradNorm needs only the norms n_i = |grad L_i| of T tasks,
and no second derivative.

Symbols: w_i are the weights, L~_i = L_i / L_i(0) the loss ratios, r_i = L~_i / mean(L~) the inverse training rates (large is slow),
G_i = |w_i| n_i, Gbar = mean(G). The target of G_i is Gbar r_i^alpha, taken as a constant (else all weights would go to zero).
"""

import math

import numpy as np

from fastars._compiled.jit import inline, kernel

_SMALLEST = 2.0**-1074  # positive number of float64


@inline
def _mean(values):
    total = 0.0
    for value in values:
        total += value
    return total / values.shape[0]


@inline
def _scale(weights, total):
    """Scale weights in place to the sum `total`."""
    present = 0.0
    for weight in weights:
        present += weight
    for i in range(weights.shape[0]):
        weights[i] *= total / present


@kernel
def gradnorm_gradient(weights, norms, ratios, alpha):
    """Compute the gradient of L_grad = sum over i of |G_i - target_i| with respect to the weights (section 3.2).

    Parameters
    ----------
    weights, norms, ratios : ndarray of float64, shape (T,)
        w, n and L~ of the module's docstring; the ratios are positive.
    alpha : float
        Strength of the pull towards equal training rates; with 0, losses have no effect.

    Returns
    -------
    ndarray of float64, shape (T,)
        sign(G_i - target_i) sign(w_i) n_i.
    """
    n_tasks, mean_ratio = weights.shape[0], _mean(ratios)
    mean = 0.0
    for i in range(n_tasks):
        mean += abs(weights[i]) * norms[i]
    mean /= n_tasks
    gradient = np.empty(n_tasks)
    for i in range(n_tasks):
        distance = abs(weights[i]) * norms[i] - mean * (ratios[i] / mean_ratio) ** alpha
        gradient[i] = np.sign(distance) * np.sign(weights[i]) * norms[i]
    return gradient


@kernel
def gradnorm_closed(norms, ratios, alpha):
    """Compute the weights at which every G_i equals its target: r_i^alpha / n_i, up to a factor.

    Parameters
    ----------
    norms, ratios : ndarray of float64, shape (T,)
        n and L~ of the module's docstring, all positive.
    alpha : float
        As for `gradnorm_gradient`.

    Returns
    -------
    ndarray of float64, shape (T,)
        They sum to T. A weight below the range of float64 is 0.
    """
    n_tasks, mean_ratio = norms.shape[0], _mean(ratios)
    weights = np.empty(n_tasks)
    least, total = np.inf, 0.0
    for i in range(n_tasks):
        weights[i] = (ratios[i] / mean_ratio) ** alpha / norms[i]
        least = min(least, weights[i])
        total += weights[i]
    if not (least > 0.0 and total < np.inf):  # a power is out of range
        _powers(norms, ratios, alpha, weights)
    _scale(weights, n_tasks)
    return weights


@kernel
def _powers(norms, ratios, alpha, weights):
    """Write ratio^alpha / norm by their logarithms, up to a factor that makes the largest 1."""
    largest_ratio, largest = ratios.max(), -np.inf
    for i in range(weights.shape[0]):
        weights[i] = alpha * math.log(ratios[i] / largest_ratio) - math.log(norms[i])
        largest = max(largest, weights[i])
    for i in range(weights.shape[0]):
        weights[i] = math.exp(weights[i] - largest)


@kernel
def gradnorm_log(weights, norms, ratios, alpha, learning_rate, least):
    """Take a step, in the logarithms of the weights, towards the weights of `gradnorm_closed`, its fixed point.

    Steps that add to the weights, as in the paper, can't reach a weight of 2e-4 with a step of 0.025. These steps can, and no
    weight becomes negative.

    If each log(G_i / target_i) is between -1 and 1, it is the distance that w_i has to go. Otherwise distances are
    log(w_i / c_i) minus their mean, clipped to -1 and 1, where c are the closed weights after `bounded_weights`. As some are above
    their mean and others below it, the clip never moves all weights alike. The largest distance minus the smallest falls by the
    learning rate or more in each step, and below 1 by this share of itself.

    Parameters
    ----------
    weights, norms, ratios : ndarray of float64, shape (T,)
        w, n and L~ of the module's docstring, all positive.
    alpha : float
        As for `gradnorm_gradient`.
    learning_rate : float
        Share of the distance that a step goes. No logarithm changes by more than this, before the weights are scaled.
    least : float
        Least weight, for c. The result itself is not bounded.

    Returns
    -------
    ndarray of float64, shape (T,)
        w_i exp(-learning_rate distance_i), scaled to the sum T.
    """
    n_tasks, mean_ratio = weights.shape[0], _mean(ratios)
    mean = 0.0
    for i in range(n_tasks):
        mean += weights[i] * norms[i]
    mean /= n_tasks
    distances, is_clipped = np.empty(n_tasks), False
    for i in range(n_tasks):
        distances[i] = math.log(weights[i] * norms[i] / (mean * (ratios[i] / mean_ratio) ** alpha))
        is_clipped |= not abs(distances[i]) <= 1.0
    if is_clipped:
        closed = bounded_weights(gradnorm_closed(norms, ratios, alpha), least, weights.sum())
        for i in range(n_tasks):
            distances[i] = math.log(weights[i]) - math.log(max(closed[i], _SMALLEST))
        centre = _mean(distances)
        for i in range(n_tasks):
            distances[i] = min(max(distances[i] - centre, -1.0), 1.0)
    stepped = np.empty(n_tasks)
    for i in range(n_tasks):
        stepped[i] = weights[i] * math.exp(-learning_rate * distances[i])
    _scale(stepped, n_tasks)
    return stepped


@kernel
def gradnorm_softmax(logits, norms, ratios, alpha):
    """Compute the weights T softmax(v), as LibMTL does, and the gradient of L_grad with respect to v.

    Parameters
    ----------
    logits, norms, ratios : ndarray of float64, shape (T,)
        v, and n and L~ of the module's docstring.
    alpha : float
        As for `gradnorm_gradient`.

    Returns
    -------
    weights, gradient : ndarray of float64, shape (T,)
        With p = softmax(v) and u the gradient with respect to the weights: T p, and T p (u - p . u).
    """
    n_tasks = logits.shape[0]
    largest = logits[0]
    for logit in logits:
        largest = max(largest, logit)
    weights = np.empty(n_tasks)
    for i in range(n_tasks):
        weights[i] = math.exp(logits[i] - largest)
    _scale(weights, n_tasks)
    gradient = gradnorm_gradient(weights, norms, ratios, alpha)
    mean = 0.0
    for i in range(n_tasks):
        mean += weights[i] / n_tasks * gradient[i]
    for i in range(n_tasks):
        gradient[i] = weights[i] * (gradient[i] - mean)
    return weights, gradient


@kernel
def bounded_weights(weights, least, total):
    """Scale weights to the sum `total`. Weights that would be below `least` are set to it, and the others share the rest.

    Parameters
    ----------
    weights : ndarray of float64, shape (T,)
        At least one is positive. Negative weights become `least`.
    least, total : float
        `total` is at least T times `least`.

    Returns
    -------
    ndarray of float64, shape (T,)
    """
    n_tasks = weights.shape[0]
    scaled, is_least = np.empty(n_tasks), np.zeros(n_tasks, np.bool_)
    found = True
    while found:
        present, rest = 0.0, total
        for i in range(n_tasks):
            if is_least[i]:
                rest -= least
            else:
                present += weights[i]
        found = False
        for i in range(n_tasks):
            scaled[i] = least if is_least[i] else weights[i] * (rest / present)
            if scaled[i] < least:
                is_least[i] = found = True
    return scaled
