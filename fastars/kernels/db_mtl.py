"""DB-MTL (Lin et al. 2023, arXiv 2308.12029): logarithms of the losses, whose gradients are scaled to the longest one."""

import numpy as np

from fastars._compiled.jit import kernel


@kernel
def db_mtl(norms, losses, averages, decays, products):
    """Compute the weights with which the gradients of all log L_i have the length of the longest one.

    The norms of these gradients, |grad L_i| / L_i, are averaged over the steps: m <- decay m + (1 - decay) |grad L| / L. Divided by
    1 minus the product of the decays so far, m is a mean.

    Parameters
    ----------
    norms, losses : ndarray of float64, shape (T,)
        |grad L_i| and L_i, positive.
    averages, products : ndarray of float64, shape (T,)
        m and the product of the decays after the step before; zeros and ones before the first.
    decays : ndarray of float64, shape (T,)
        From 0, which forgets all steps before, to below 1.

    Returns
    -------
    weights, averages, products : ndarray of float64, shape (T,)
        max(mean) / mean_i / L_i, and m and the product of the decays after this step.
    """
    n_tasks = norms.shape[0]
    weights, following, left, means = np.empty(n_tasks), np.empty(n_tasks), np.empty(n_tasks), np.empty(n_tasks)
    for i in range(n_tasks):
        following[i] = decays[i] * averages[i] + (1.0 - decays[i]) * (norms[i] / losses[i])
        left[i] = products[i] * decays[i]
        means[i] = following[i] / (1.0 - left[i])
    longest = means.max()
    for i in range(n_tasks):
        weights[i] = longest / means[i] / losses[i]
    return weights, following, left
