"""Policies: from an observation to the scores of an action.

A policy is a NamedTuple, and its type picks the code. In lanes, the weights of a linear policy are rows (`scores`). Where one
candidate is evaluated for many observations, its weights are arranged first (`arrange`): each layer as its bias and then its
columns, so that the sums of all outputs are computed side by side. In both cases a sum starts with the bias and goes from the first
input to the last. This order is part of the definition: both give the same bits.
"""

import numpy as np
from numba.extending import overload

from fastars._compiled.actions import act
from fastars._compiled.flat_arrays import load_wide, store_wide
from fastars._compiled.jit import INLINE, inline, kernel
from fastars._compiled.lane_rows import at, dot, load
from fastars._compiled.simd import WIDE, where
from fastars._compiled.structs import Identity, LinearPolicy, MlpPolicy, Relu, Swish, Tanh
from fastars._compiled.trig import swish, tanh
from fastars._compiled.tuples import normalize
from fastars.kernels.policy_layout import arranged_size, layer_sizes, n_scores, scratch_size


def scores(policy, rows, lane, row, x, like):
    """Compute `len(like)` scores for the filtered observation x, of the policy whose weights start at `row` of the lane."""
    return _SCORES[type(policy)](policy, rows, lane, row, x, like)


@overload(scores, jit_options=INLINE)
def _scores(policy, rows, lane, row, x, like):
    compiled = _SCORES.get(getattr(policy, "instance_class", None))
    if compiled is not None:
        return lambda policy, rows, lane, row, x, like: compiled(policy, rows, lane, row, x, like)


@inline
def _linear_scores(policy, rows, lane, row, x, like):
    """Compute W x + b; the lane holds W.ravel(), then b (zeros without bias)."""
    return _affine(rows, lane, row, row + len(like) * len(x), x, like)


def _affine(rows, lane, row, bias_row, x, like):
    """Compute b[i] + sum over j of W[i, j] x[j], for every output i."""
    return tuple(dot(rows[at(bias_row + i, lane)], rows, lane, row + i * len(x), x) for i in range(len(like)))


@overload(_affine, jit_options=INLINE)
def _affine_unrolled(rows, lane, row, bias_row, x, like):
    if len(like) == 0:
        return lambda rows, lane, row, bias_row, x, like: ()

    def unrolled(rows, lane, row, bias_row, x, like):
        score = dot(rows[at(bias_row, lane)], rows, lane, row, x)
        return (score, *_affine(rows, lane, row + len(x), bias_row + 1, x, like[1:]))

    return unrolled


@inline
def _network_scores(policy, rows, lane, row, x, like):
    """Return the scores of a network, which stand in its lane already (`network_lanes`)."""
    return load(rows, lane, row, like)


_SCORES = {LinearPolicy: _linear_scores, MlpPolicy: _network_scores}


def activated(policy, value):
    """Return the output of a hidden unit for its sum `value`."""
    return _ACTIVATED[type(policy.activation)](value)


@overload(activated, jit_options=INLINE)
def _activated(policy, value):
    if getattr(policy, "instance_class", None) is not MlpPolicy:
        return lambda policy, value: value  # there is no hidden layer
    compiled = _ACTIVATED[policy.types[policy.fields.index("activation")].instance_class]
    return lambda policy, value: compiled(value)


@inline
def _relu(value):
    return where(value < 0.0, 0.0, value)  # NaN stays NaN


@inline
def _identity(value):
    return value


_ACTIVATED = {Relu: _relu, Tanh: tanh, Swish: swish, Identity: _identity}


@kernel
def arrange(policy, weights, n_obs, n_act, arranged):
    """Arrange a candidate's flat weights: layer after layer its bias (zeros, if there is none), then its columns."""
    sizes, source, target = layer_sizes(policy, n_obs, n_act), 0, 0
    for layer in range(len(sizes) - 1):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        bias = source + n_in * n_out
        for i in range(n_out):
            arranged[target + i] = weights[bias + i] if policy.with_bias else 0.0
            for j in range(n_in):
                arranged[target + (j + 1) * n_out + i] = weights[source + i * n_in + j]
        source = bias + (n_out if policy.with_bias else 0)
        target += (n_in + 1) * n_out


@inline
def fill_filtered(observation, filter, x):
    """Write clip((observation - mean) * scale, -clip, clip) to x."""
    for j in range(x.shape[0]):
        (x[j],) = normalize((observation[j],), (filter.mean[j],), (filter.scale[j],), filter.clip)


@inline
def fill_scores(policy, arranged, x, scratch, scores):
    """Write the scores of the filtered observation x, from arranged weights; `scratch` has `scratch_size` entries."""
    sizes, row, target = layer_sizes(policy, x.shape[0], scores.shape[0]), 0, 0
    source = scratch.shape[0] - x.shape[0]  # x comes last: what is computed starts where np.empty aligns it
    for j in range(x.shape[0]):
        scratch[source + j] = x[j]
    for layer in range(1, len(sizes)):
        fill_layer(arranged, row, scratch, source, sizes[layer - 1], target, sizes[layer])
        if layer < len(sizes) - 1:
            activate(policy, scratch, target, sizes[layer])
        row += (sizes[layer - 1] + 1) * sizes[layer]
        source, target = target, target + sizes[layer]
    for i in range(scores.shape[0]):
        scores[i] = scratch[source + i]


@kernel
def fill_layer(arranged, row, units, source, n_source, target, n_target):
    """units[target:] = b + W[:, 0] units[source] + W[:, 1] units[source + 1] + ..., added in that order.

    Offsets instead of slices: each slice is counted in and out by an atomic operation, 20 % of the time of two layers of 64.
    """
    source, target, n_out = np.uintp(source), np.uintp(target), np.uintp(n_target)
    for i in range(n_out):
        units[target + i] = arranged[np.uintp(row) + i]
    column = np.uintp(row) + n_out
    whole = source + np.uintp(n_source - n_source % 4)
    for j in range(source, whole, np.uintp(4)):
        x0, x1, x2, x3 = units[j], units[j + np.uintp(1)], units[j + np.uintp(2)], units[j + np.uintp(3)]
        for i in range(n_out):
            k = column + i
            total = units[target + i] + arranged[k] * x0
            total += arranged[k + n_out] * x1
            total += arranged[k + np.uintp(2) * n_out] * x2
            units[target + i] = total + arranged[k + np.uintp(3) * n_out] * x3
        column += np.uintp(4) * n_out
    for j in range(whole, source + np.uintp(n_source)):
        for i in range(n_out):
            units[target + i] += arranged[column + i] * units[j]
        column += n_out


@kernel
def activate(policy, units, first, n):
    """Replace the sums of a hidden layer by its outputs. Up to `WIDE` - 1 numbers after them are spoilt: they come later."""
    for i in range(first, first + n, WIDE):
        store_wide(units, i, activated(policy, load_wide(units, i)))


@kernel
def action_scores(policy, weights, observation, filter):
    """Compute the scores of a policy for one observation, with the arithmetic of a rollout.

    Parameters
    ----------
    policy : LinearPolicy or MlpPolicy
        What the weights mean.
    weights : ndarray of float64, shape (n_weights,)
        Layer after layer `W.ravel()` of W (outputs, inputs), then b (outputs,) for a policy with bias.
    observation : ndarray of float32 or float64, shape (n_obs,)
        An observation.
    filter : Filter
        Mean, scale and clip of the observations.

    Returns
    -------
    ndarray of float64, shape (n_act,)
        Scores of the filtered observation x = clip((o - mean) * scale, -c, c). In every layer, b + W[:, 0] x[0] + W[:, 1] x[1] +
        ... is added in this order.
    """
    return batch_action_scores(policy, weights, observation.reshape(1, -1), filter)[0]


@kernel
def batch_action_scores(policy, weights, observations, filter):
    """Compute the scores of a policy for many observations, as `action_scores` does for one.

    Parameters
    ----------
    policy : LinearPolicy or MlpPolicy
        What the weights mean.
    weights : ndarray of float64, shape (n_weights,)
        Layer after layer `W.ravel()` of W (outputs, inputs), then b (outputs,) for a policy with bias.
    observations : ndarray of float32 or float64, shape (m, n_obs)
        A row per observation.
    filter : Filter
        Mean, scale and clip of the observations.

    Returns
    -------
    ndarray of float64, shape (m, n_act)
    """
    m, n_obs = observations.shape
    scores = np.empty((m, n_scores(policy, weights.shape[0], n_obs)))
    arranged = np.empty(arranged_size(policy, n_obs, scores.shape[1]))
    arrange(policy, weights, n_obs, scores.shape[1], arranged)
    x, scratch = np.empty(n_obs), np.zeros(scratch_size(policy, n_obs, scores.shape[1]))
    for row in range(m):
        fill_filtered(observations[row], filter, x)
        fill_scores(policy, arranged, x, scratch, scores[row])
    return scores


@kernel
def fill_actions(actions, low, high, scores, out):
    """Write the actions for many rows of scores, as a rollout takes them.

    Parameters
    ----------
    actions : Argmax, Clip, Unclipped, Squash, Choices or Signs
        How scores become an action.
    low, high : ndarray, shape (k,)
        Bounds of a Box space, of the dtype of `out`; ignored for other spaces.
    scores : ndarray of float64, shape (m, n_act)
        A row per action.
    out : ndarray, shape (m, k)
        Written: a row per action, float32 or float64 for a Box space (k = n_act); int64 for Discrete (k = 1), MultiDiscrete and
        MultiBinary spaces.
    """
    for row in range(scores.shape[0]):
        act(actions, scores[row], low, high, out[row])
