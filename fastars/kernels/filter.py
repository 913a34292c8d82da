"""The running mean and deviation of the observations (V2), merged in the order of directions.

Source of the merge: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979),
equation 2.1.
"""

import math

import numpy as np

from fastars._compiled.jit import kernel


@kernel
def merge_moments(count, mean, m2, episodes):
    """Merge the moments of episodes, row after row, into running moments.

    Parameters
    ----------
    count : int
        Observations so far.
    mean, m2 : ndarray of float64, shape (n_obs,)
        Their mean and their sum of squared deviations from it.
    episodes : Moments
        A row per episode. A row is left out if it has no observations, or would make the moments infinite or NaN.

    Returns
    -------
    count : int
    mean, m2 : ndarray of float64, shape (n_obs,)
        New arrays.
    """
    n_obs = mean.shape[0]
    mean, m2 = mean.copy(), m2.copy()
    merged_mean, merged_m2 = np.empty(n_obs), np.empty(n_obs)
    for row in range(episodes.count.shape[0]):
        n = episodes.count[row]
        if n == 0:
            continue
        finite = True
        for k in range(n_obs):
            delta = episodes.mean[row, k] - mean[k]
            merged_mean[k] = mean[k] + delta * (n / (count + n))
            merged_m2[k] = m2[k] + episodes.m2[row, k] + delta * delta * (count / (count + n) * n)
            finite &= math.isfinite(merged_mean[k]) and math.isfinite(merged_m2[k])
        if finite:
            count += n
            mean, merged_mean = merged_mean, mean
            m2, merged_m2 = merged_m2, m2
    return count, mean, m2


@kernel
def filter_from_moments(count, mean, m2, ddof, epsilon, var_epsilon, min_std):
    """Compute mean and scale of the filter x = (o - mean) * scale.

    Parameters
    ----------
    count : int
        Observations so far.
    mean, m2 : ndarray of float64, shape (n_obs,)
        Their mean and their sum of squared deviations from it.
    ddof : int
        The variance is m2 / (count - ddof).
    epsilon, var_epsilon : float
        scale = 1 / (std + epsilon), std = sqrt(variance + var_epsilon).
    min_std : float
        A feature with a deviation below it gets scale 0: the policy sees 0 in its place.

    Returns
    -------
    mean, scale : ndarray of float64, shape (n_obs,)
        New arrays. Up to `ddof` observations, mean 0 and variance 1 stand in: they change nothing, up to the epsilons.
    """
    n_obs = mean.shape[0]
    center, scale = np.empty(n_obs), np.empty(n_obs)
    for k in range(n_obs):
        known = count > ddof
        std = math.sqrt((m2[k] / (count - ddof) if known else 1.0) + var_epsilon)
        counts = std >= min_std and std + epsilon > 0.0
        center[k] = mean[k] if known else 0.0
        scale[k] = 1.0 / (std + epsilon) if counts or not known else 0.0
    return center, scale
