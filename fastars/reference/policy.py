"""The linear policy, scores = W clip((o - mean) * scale, -c, c) + b. Paper: M diag(Sigma)^(-1/2) (x - mu), Algorithm 1 (V2)."""

import numpy as np


def linear_action_scores(weights, observation, filter, with_bias):
    """Scores (n_act,) of one observation (n_obs,); weights are W.ravel() of W (n_act, n_obs), then b (n_act,) if `with_bias`."""
    return linear_actions(weights, observation[None], filter, with_bias)[0]


def linear_actions(weights, observations, filter, with_bias):
    """Scores (m, n_act) of m observations (m, n_obs)."""
    n_obs = observations.shape[1]
    n_act = len(weights) // (n_obs + with_bias)
    matrix, bias = weights[: n_act * n_obs].reshape(n_act, n_obs), weights[n_act * n_obs :]
    x = np.clip((observations - filter.mean) * filter.scale, -filter.clip, filter.clip)
    scores = np.zeros((len(observations), n_act)) + (bias if with_bias else 0.0)
    for j in range(n_obs):  # from the first to the last entry: the order of the sum is part of the definition
        scores = scores + matrix[:, j] * x[:, j, None]
    return scores
