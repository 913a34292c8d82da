"""A positive semi-definite Gram matrix in place of an indefinite one, and one of gradients of about one length."""

import numpy as np


def positive_gram(gram):
    """Set tasks whose diagonal is not positive to 0, and negative eigenvalues of the cosines to 0; keep the diagonal."""
    norms = np.sqrt(np.maximum(np.diag(gram), 0.0))
    kept = norms > 0.0
    positive = np.where(np.outer(kept, kept), gram, 0.0)
    scale = np.outer(norms[kept], norms[kept])
    values, vectors = np.linalg.eigh(gram[np.ix_(kept, kept)] / scale)
    if np.all(values > -1e-13):
        return positive
    cos = (vectors * np.maximum(values, 0.0)) @ vectors.T
    size = np.sqrt(np.diag(cos))
    positive[np.ix_(kept, kept)] = cos / np.outer(size, size) * scale
    np.fill_diagonal(positive, norms * norms)
    return positive


def balanced_gram(gram):
    """Return (C, kept, lengths): the positive G of the tasks `kept`, which have a gradient, divided by lengths, powers of two."""
    positive = positive_gram(gram)
    kept = np.flatnonzero(np.diag(positive) > 0.0)
    lengths = np.ldexp(1.0, (np.frexp(np.diag(positive)[kept])[1] + 1) // 2)
    return positive[np.ix_(kept, kept)] / lengths[:, np.newaxis] / lengths, kept, lengths
