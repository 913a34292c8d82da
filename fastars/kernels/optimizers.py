"""Optimizers: from a gradient to a step that increases the return, theta += step (Algorithm 2, line 7)."""

import math

import numpy as np

from fastars._compiled.huge_pages import on_huge_pages
from fastars._compiled.jit import kernel


@kernel
def sgd_step(velocity, gradient, learning_rate, momentum, weight_decay, theta):
    """Compute a step of gradient ascent with momentum: theta += step.

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
    new_velocity, step = on_huge_pages(np.empty(n_weights)), on_huge_pages(np.empty(n_weights))
    decay = learning_rate * weight_decay
    for k in range(n_weights):
        new_velocity[k] = momentum * velocity[k] + (1.0 - momentum) * gradient[k]
        step[k] = learning_rate * new_velocity[k] - decay * theta[k]
    return new_velocity, step


@kernel
def adam_step(m, v, t, gradient, learning_rate, beta1, beta2, epsilon, weight_decay, theta):
    """Compute a step of Adam, upwards: theta += step (Kingma & Ba 2015, the efficient form at the end of section 2).

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
    new_m, new_v = on_huge_pages(np.empty(n_weights)), on_huge_pages(np.empty(n_weights))
    step = on_huge_pages(np.empty(n_weights))
    alpha = learning_rate * math.sqrt(1.0 - math.pow(beta2, t)) / (1.0 - math.pow(beta1, t))
    decay = learning_rate * weight_decay
    for k in range(n_weights):
        new_m[k] = beta1 * m[k] + (1.0 - beta1) * gradient[k]
        new_v[k] = beta2 * v[k] + (1.0 - beta2) * (gradient[k] * gradient[k])
        step[k] = alpha * new_m[k] / (math.sqrt(new_v[k]) + epsilon) - decay * theta[k]
    return new_m, new_v, step
