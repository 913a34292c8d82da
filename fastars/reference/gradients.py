"""Gradients of several tasks: their norms, and the Gram matrix of their products.

Symbols: g_1 ... g_T are the gradients of T tasks, d = n_weights, G_ij = g_i . g_j. From N directions delta_k and the differences of
task i's returns D_ki = (R+_ki - R-_ki) / (2 sigma): g_i = (1/N) sum over k of D_ki delta_k, and q_k = |delta_k|^2.
"""

import numpy as np

from .norms import norm


def gram(gradients):
    """Return G_ij = g_i . g_j, (T, T), of gradients (T, d)."""
    gradients = np.asarray(gradients, np.float64)
    return np.einsum("id,jd->ij", gradients, gradients)


def gradient_norms(gradients):
    """Return |g_i|, (T,)."""
    return np.array([norm(gradient) for gradient in gradients])


def debiased_gram(gram, differences, squares):
    """Return (N^2 G_ij - sum over k of D_ki D_kj q_k) / (N (N - 1)): unbiased. NaN for N < 2."""
    n = len(differences)
    if n < 2:
        return np.full(gram.shape, np.nan)
    own = np.zeros(gram.shape)
    for d, q in zip(differences, squares, strict=True):
        own = own + np.outer(d, d) * q
    return (n * n * gram - own) / (n * (n - 1.0))
