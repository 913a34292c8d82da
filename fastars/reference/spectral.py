"""Weights from the pseudo-inverse and the eigenvalues of the Gram matrix G of T tasks' gradients, G_ij = g_i . g_j.

An indefinite G is replaced by `positive_gram(G)`.
"""

import numpy as np

from .symmetric import positive_gram


def imtl_g(gram):
    """Return w = v / sum(v), G v = |g|: v_i = (C^+ 1)_i / |g_i| with cosines C (Liu et al. 2021). 0 for a task without gradient."""
    gram = positive_gram(gram)
    norms = np.sqrt(np.diag(gram))
    kept = norms > 0.0
    cos = gram[np.ix_(kept, kept)] / np.outer(norms[kept], norms[kept])
    weights = np.zeros(len(gram))
    v = np.linalg.pinv(cos, hermitian=True, rcond=1e-12) @ np.ones(kept.sum()) / norms[kept]
    if abs(v.sum()) > 1e-12 * np.abs(v).sum():
        weights[kept] = v / v.sum()
    return weights


def aligned_mtl(gram):
    """Return sqrt(smallest eigenvalue) G^(-1/2) 1/T, on the eigenvectors of eigenvalues above rounding (Senushkin et al. 2023)."""
    values, vectors = np.linalg.eigh(positive_gram(gram))
    kept = values > values.max() * len(values) * np.finfo(float).eps
    mean = np.full(len(values), 1.0 / len(values))
    if not kept.any():
        return mean
    values, vectors = values[kept], vectors[:, kept]
    return np.sqrt(values.min()) * vectors @ (vectors.T @ mean / np.sqrt(values))
