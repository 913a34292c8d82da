"""DB-MTL (Lin et al. 2023, arXiv 2308.12029): logarithms of the losses, whose gradients are scaled to the longest one."""

import numpy as np


def db_mtl(norms, losses, averages, decays, products):
    """Return (weights, averages, products), where averages m <- decay m + (1 - decay) |grad L| / L, the norm of grad log L.

    Divided by 1 - product of the decays so far, m is a mean. The weights are max(mean) / mean_i / L_i: the first factor balances
    the gradients of log L, the second makes them from those of L.
    """
    averages = decays * averages + (1.0 - decays) * (norms / losses)
    products = products * decays
    means = averages / (1.0 - products)
    return np.max(means) / means / losses, averages, products
