"""Policies: scores of an observation, and actions of scores.

The linear policy is scores = W clip((o - mean) * scale, -c, c) + b (paper: M diag(Sigma)^(-1/2) (x - mu), Algorithm 1, V2). The
multilayer perceptron has hidden layers h = activation(W x + b) before that.
"""

import numpy as np


def action_scores(policy, weights, observation, filter):
    """Return scores (n_act,) of one observation (n_obs,). Weights are, layer by layer, W.ravel() of W (outputs, inputs), then b."""
    return batch_action_scores(policy, weights, observation[None], filter)[0]


def batch_action_scores(policy, weights, observations, filter):
    """Return scores (m, n_act) of m observations (m, n_obs); infinite or NaN where they leave the range of float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        x = np.clip((observations - filter.mean) * filter.scale, -filter.clip, filter.clip)
        for n_hidden in getattr(policy, "net_arch", ()):
            sums, weights = _layer(weights, x, n_hidden, policy.with_bias)
            x = _activated(policy, sums)
        n_act = len(weights) // (x.shape[1] + policy.with_bias)
        scores, _ = _layer(weights, x, n_act, policy.with_bias)
    return scores


def _activated(policy, sums):
    """Return the outputs of hidden units for their sums."""
    kind = type(policy.activation).__name__
    if kind == "Tanh":
        return np.tanh(sums)
    if kind == "Swish":
        sums = np.maximum(sums, -708.0)  # below, exp(-x) leaves float64
        return sums / (1.0 + np.exp(-sums))
    return np.where(sums < 0.0, 0.0, sums) if kind == "Relu" else sums


def _layer(weights, x, n_out, with_bias):
    """Return b + W x for every row of x (m, n_in), and the weights of the following layers."""
    m, n_in = x.shape
    matrix, rest = weights[: n_out * n_in].reshape(n_out, n_in), weights[n_out * n_in :]
    bias, rest = (rest[:n_out], rest[n_out:]) if with_bias else (np.zeros(n_out), rest)
    sums = np.tile(bias, (m, 1))
    for j in range(n_in):  # from the first to the last input: the order of the sum is part of the definition
        sums = sums + matrix[:, j] * x[:, j, None]
    return sums, rest


def fill_actions(actions, low, high, scores, out):
    """Write actions (m, k) for scores (m, n_act). A Box has bounds low and high (k,), in the dtype of `out`."""
    kind = type(actions).__name__
    if kind == "Argmax":
        out[:, 0] = actions.start + _argmax(scores)
    elif kind == "Choices":
        groups = np.split(scores, np.cumsum(actions.sizes)[:-1], axis=1)
        out[:] = actions.starts + np.stack([_argmax(group) for group in groups], axis=1)
    elif kind == "Signs":
        out[:] = scores > 0.0
    else:
        if kind == "Squash":
            scores = low + 0.5 * (np.tanh(scores) + 1.0) * np.subtract(high, low, dtype=np.float64)
        with np.errstate(over="ignore"):  # a score beyond float32 is infinite, and clipped
            out[:] = scores
        if kind != "Unclipped":
            np.clip(out, low, high, out=out)


def _argmax(scores):
    """Return the index of the first largest score in every row. NaN is never the larger one (in NumPy, it is the largest)."""
    index = np.zeros(len(scores), np.int64)
    for k in range(1, scores.shape[1]):
        index = np.where(scores[:, k] > scores[np.arange(len(scores)), index], k, index)
    return index
