"""Optimizers: steps from gradients. All of them climb: theta += step."""

import math

import numpy as np


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
