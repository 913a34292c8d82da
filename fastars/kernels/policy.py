"""Policies: from an observation to the scores of an action.

A policy is a NamedTuple; its type picks `n_params` and `scores` at compile time. Weights are rows of a lane's column.
"""

import numpy as np
from numba.extending import overload

from fastars._jit import INLINE, inline, kernel
from fastars._structs import LinearPolicy
from fastars._tuples import at, dot, normalize


def scores(policy, rows, lane, row, x, like):
    """Scores of the policy whose weights start at `row` of the lane, for the filtered observation x: as many as `like` has."""
    return _SCORES[type(policy)](policy, rows, lane, row, x, like)


@overload(scores, jit_options=INLINE)
def _scores(policy, rows, lane, row, x, like):
    compiled = _SCORES.get(getattr(policy, "instance_class", None))
    if compiled is not None:
        return lambda policy, rows, lane, row, x, like: compiled(policy, rows, lane, row, x, like)


@inline
def _linear_scores(policy, rows, lane, row, x, like):
    """W x + b; the lane holds W.ravel(), then b (zeros without bias)."""
    return _affine(rows, lane, row, row + len(like) * len(x), x, like)


def _affine(rows, lane, row, bias_row, x, like):
    """b[i] + sum over j of W[i, j] x[j], for every output i."""
    return tuple(dot(rows[at(bias_row + i, lane)], rows, lane, row + i * len(x), x) for i in range(len(like)))


@overload(_affine, jit_options=INLINE)
def _affine_unrolled(rows, lane, row, bias_row, x, like):
    if len(like) == 0:
        return lambda rows, lane, row, bias_row, x, like: ()

    def unrolled(rows, lane, row, bias_row, x, like):
        score = dot(rows[at(bias_row, lane)], rows, lane, row, x)
        return (score, *_affine(rows, lane, row + len(x), bias_row + 1, x, like[1:]))

    return unrolled


_SCORES = {LinearPolicy: _linear_scores}


@kernel
def linear_action_scores(weights, observation, filter, with_bias):
    """Scores of the linear policy, W clip((o - mean) * scale, -c, c) + b, with the arithmetic of a rollout.

    Parameters
    ----------
    weights : ndarray of float64, shape (n_act * n_obs,) or, with a bias, (n_act * n_obs + n_act,)
        `W.ravel()` of W (n_act, n_obs), then b.
    observation : ndarray of float32, shape (n_obs,)
        An observation.
    filter : Filter
        Mean, scale and clip of the observations.
    with_bias : bool
        Whether the weights end with b.

    Returns
    -------
    ndarray of float64, shape (n_act,)
        b + W[:, 0] x[0] + W[:, 1] x[1] + ..., added in that order.
    """
    n_obs = observation.shape[0]
    scores = np.empty(weights.shape[0] // (n_obs + (1 if with_bias else 0)))
    _fill_scores(weights, observation, filter, with_bias, np.empty(n_obs), scores)
    return scores


@kernel
def linear_actions(weights, observations, filter, with_bias):
    """`linear_action_scores` of a batch.

    Parameters
    ----------
    weights : ndarray of float64, shape (n_act * n_obs,) or, with a bias, (n_act * n_obs + n_act,)
        `W.ravel()` of W (n_act, n_obs), then b.
    observations : ndarray of float32, shape (m, n_obs)
        A row per observation.
    filter : Filter
        Mean, scale and clip of the observations.
    with_bias : bool
        Whether the weights end with b.

    Returns
    -------
    ndarray of float64, shape (m, n_act)
    """
    m, n_obs = observations.shape
    x, scores = np.empty(n_obs), np.empty((m, weights.shape[0] // (n_obs + (1 if with_bias else 0))))
    for row in range(m):
        _fill_scores(weights, observations[row], filter, with_bias, x, scores[row])
    return scores


@kernel
def _fill_scores(weights, observation, filter, with_bias, x, scores):
    """Scores of one observation; x is room for the filtered one."""
    n_obs, n_act = x.shape[0], scores.shape[0]
    for j in range(n_obs):
        x[j] = normalize((observation[j],), (filter.mean[j],), (filter.scale[j],), filter.clip)[0]
    for i in range(n_act):
        score = weights[n_act * n_obs + i] if with_bias else 0.0
        for j in range(n_obs):
            score += weights[i * n_obs + j] * x[j]
        scores[i] = score
