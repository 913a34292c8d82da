"""Weights from the pseudo-inverse and the eigenvalues of the Gram matrix G of T tasks' gradients, G_ij = g_i . g_j.

An indefinite G is replaced by `positive_gram(G)`.
"""

import numpy as np

from .symmetric import positive_gram


def imtl_g(gram):
    """Return w = v / sum(v), G v = |g|: v_i = (C^+ 1)_i / |g_i| with cosines C (Liu et al. 2021). 0 for a task without gradient."""
    norms, kept, v, _ = _projected_alike(gram)
    weights = np.zeros(len(gram))
    shares = v / norms[kept]
    if np.abs(v).max(initial=0.0) > 1e-12 and abs(shares.sum()) > 1e-12 * np.abs(shares).sum():
        weights[kept] = shares / shares.sum()
    return weights


def config(gram):
    """Return the weights of (sum_i g_i . d) d, where d is the unit vector along M^+ 1, M the unit gradients (Liu et al. 2024, (2)).

    M^+ 1 = M' v with v = C^+ 1, its square is v'Cv, and g_j . (M' v) = |g_j| (C v)_j. 0 for a task without gradient, and all 0
    where M^+ 1 is 0 up to rounding.
    """
    norms, kept, v, cos = _projected_alike(gram)
    weights = np.zeros(len(gram))
    square = v @ cos @ v
    if np.abs(v).max(initial=0.0) > 1e-12:
        weights[kept] = v / norms[kept] * (norms[kept] @ (cos @ v) / square)
    return weights


def _projected_alike(gram):
    """Return (norms, tasks with a gradient, v = C^+ 1, their cosines C)."""
    gram = positive_gram(gram)
    norms = np.sqrt(np.diag(gram))
    kept = norms > 0.0
    cos = gram[np.ix_(kept, kept)] / norms[kept] / norms[kept][:, None]
    return norms, kept, np.linalg.pinv(cos, hermitian=True, rcond=1e-12) @ np.ones(kept.sum()), cos


def aligned_mtl(gram):
    """Return sqrt(smallest eigenvalue) G^(-1/2) 1/T, on the eigenvectors of eigenvalues above rounding (Senushkin et al. 2023)."""
    largest = np.diag(gram).max()
    scaled = gram / 4.0 ** ((np.frexp(largest)[1] + 1) // 2) if largest > 0.0 else gram
    values, vectors = np.linalg.eigh(positive_gram(scaled))
    kept = values > values.max() * 16.0 * len(values) * np.finfo(float).eps
    mean = np.full(len(values), 1.0 / len(values))
    if not kept.any():
        return mean
    values, vectors = values[kept], vectors[:, kept]
    return np.sqrt(values.min()) * vectors @ (vectors.T @ mean / np.sqrt(values))
