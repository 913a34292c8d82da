"""The running mean and deviation of the observations (V2), merged in the order of directions.

Source of the merge: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979),
equation 2.1.
"""

import numpy as np


def merge_moments(count, mean, m2, episodes):
    """Merge the rows of `episodes` (count, mean, m2), one after the other, into running moments: (count, mean, m2).

    A row is left out if it has no observations, or would make the moments infinite or NaN.
    """
    for n, row_mean, row_m2 in zip(*episodes, strict=True):
        if n == 0:
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            delta = row_mean - mean
            merged_mean = mean + delta * (n / (count + n))
            merged_m2 = m2 + row_m2 + delta * delta * (count / (count + n) * n)
        if np.isfinite(merged_mean).all() and np.isfinite(merged_m2).all():
            count, mean, m2 = count + int(n), merged_mean, merged_m2
    return count, mean, m2


def filter_from_moments(count, mean, m2, ddof, epsilon, var_epsilon, min_std):
    """Return mean and scale of x = (o - mean) * scale: scale = 1 / (sqrt(m2 / (count - ddof) + var_epsilon) + epsilon).

    A deviation below `min_std` gives scale 0: the policy sees 0 for this feature. Up to `ddof` observations, mean 0 and variance 1
    stand in.
    """
    if count <= ddof:
        return np.zeros(len(mean)), np.full(len(mean), 1.0 / (np.sqrt(1.0 + var_epsilon) + epsilon))
    std = np.sqrt(m2 / (count - ddof) + var_epsilon)
    counts = (std >= min_std) & (std + epsilon > 0.0)
    return mean.copy(), np.divide(1.0, std + epsilon, out=np.zeros(len(mean)), where=counts)
