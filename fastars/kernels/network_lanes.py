"""Policies of the episodes in a block of lanes: how many lanes there are, what their rows hold, and how scores come about.

A linear policy's weights are rows of the lanes, and `scores` reads them. Networks lie beside the lanes, and `think` writes their
scores to the rows. Up to `LANES` networks stand side by side, one in each lane of a vector: each weight is loaded once in a step,
whatever the number of lanes, so they are as many as keep the weights in the second cache. A network that is too large for that runs
alone, and so do the last few episodes of a block: the outputs of a layer are side by side then.

Every sum goes from its bias and its first input to its last, so a lane has the bits of `action_scores`.
"""

from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from fastars._compiled import lane_rows
from fastars._compiled.flat_arrays import lane_numbers
from fastars._compiled.jit import INLINE, inline, kernel
from fastars._compiled.lane_rows import at, load, store, zeros_in_lines
from fastars._compiled.protocol import observe
from fastars._compiled.simd import LANES
from fastars._compiled.structs import MlpPolicy
from fastars._compiled.tuples import normalize, put
from fastars.kernels.policy import activate, arrange, fill_scores
from fastars.kernels.policy_layout import arranged_size, layer_sizes, scratch_size

# Sums at a time, which `fill_layer_together` spells out: fewer wait for each other, and more leave the registers of AVX2.
_BESIDE = 4
_LARGEST = 8192  # weights of a network that has neighbours: 8 of them are 512 kB
_FEW = 4  # from this number of lanes on, one vector is faster than lane after lane
_STRIDE = lane_rows.LANES // LANES  # vectors from one row of the lanes to the next


class Networks(NamedTuple):
    """The networks of a block of lanes, and scratch arrays. Entries of `held` are the candidates whose weights are there, or -1."""

    together: Any  # (arranged_size * LANES,), as `arrange_lane` writes them; empty, if networks are too large
    held_together: Any  # (LANES,), int64
    alone: Any  # (LANES, arranged_size), as `arrange` writes them
    held_alone: Any  # (LANES,), int64
    units: Any  # (scratch_size * LANES,), outputs of the hidden layers, scores, and filtered observation of all lanes
    x: Any  # (n_obs,), the same of one lane
    scratch: Any  # (scratch_size,), of one lane
    scores: Any  # (n_act,), of one lane


class NoNetworks(NamedTuple):
    """Beside the lanes of linear policies."""


def policy_rows(policy, n_obs, n_act):
    """Return the number of rows that a policy needs in a lane: its weights and biases, or scores and input of a network."""
    return n_act + n_obs if isinstance(policy, MlpPolicy) else (n_obs + 1) * n_act


@overload(policy_rows, jit_options=INLINE)
def _policy_rows(policy, n_obs, n_act):
    if policy.instance_class is MlpPolicy:
        return lambda policy, n_obs, n_act: n_act + n_obs
    return lambda policy, n_obs, n_act: (n_obs + 1) * n_act


def n_weights_in_rows(policy, weights):
    """Return the number of columns of the weights that are rows of a lane: all of a linear policy, none of a network."""
    return 0 if isinstance(policy, MlpPolicy) else weights.shape[1]


@overload(n_weights_in_rows, jit_options=INLINE)
def _n_weights_in_rows(policy, weights):
    if policy.instance_class is MlpPolicy:
        return lambda policy, weights: 0
    return lambda policy, weights: weights.shape[1]


def most_lanes(policy, n_obs, n_act):
    """Return the largest number of lanes in a block."""
    return _most_networks(policy, n_obs, n_act) if isinstance(policy, MlpPolicy) else lane_rows.LANES


@overload(most_lanes, jit_options=INLINE)
def _most_lanes(policy, n_obs, n_act):
    if policy.instance_class is MlpPolicy:
        return _most_networks
    return lambda policy, n_obs, n_act: lane_rows.LANES


def _most_networks(policy, n_obs, n_act):
    return LANES if arranged_size(policy, n_obs, n_act) <= _LARGEST else 1


def networks_of(policy, n_obs, n_act):
    """Make room for the networks of a block, or `NoNetworks` for a policy without hidden layers."""
    return _empty_networks(policy, n_obs, n_act) if isinstance(policy, MlpPolicy) else NoNetworks()


@overload(networks_of, jit_options=INLINE)
def _networks_of(policy, n_obs, n_act):
    if policy.instance_class is MlpPolicy:
        return _empty_networks
    return lambda policy, n_obs, n_act: NoNetworks()


def _empty_networks(policy, n_obs, n_act):
    n_lanes = most_lanes(policy, n_obs, n_act)
    size, n_units = arranged_size(policy, n_obs, n_act), scratch_size(policy, n_obs, n_act)
    return Networks(
        zeros_in_lines(size * LANES if n_lanes == LANES else 0),
        np.full(LANES, -1),
        np.empty((n_lanes, size)),
        np.full(LANES, -1),
        zeros_in_lines(n_units * LANES),
        np.empty(n_obs),
        np.zeros(n_units),
        np.empty(n_act),
    )


def load_networks(policy, episodes, counters, networks, active):
    """Put the networks of the first `active` lanes in their places. `counters` has the numbers of their episodes first."""
    if isinstance(policy, MlpPolicy):
        _load_networks(policy, episodes, counters, networks, active)


@overload(load_networks, jit_options=INLINE)
def _load_networks_of(policy, episodes, counters, networks, active):
    if policy.instance_class is MlpPolicy:
        return _load_networks
    return lambda policy, episodes, counters, networks, active: None


def _load_networks(policy, episodes, counters, networks, active):
    weights, n_obs, n_act = episodes.weights, networks.x.shape[0], networks.scores.shape[0]
    per_candidate, are_together = episodes.seeds.shape[0] // weights.shape[0], _are_together(networks, active)
    held = networks.held_together if are_together else networks.held_alone
    for lane in range(active):
        candidate = counters[lane] // per_candidate
        if held[lane] == candidate:
            continue
        held[lane] = candidate
        if are_together:
            arrange_lane(policy, weights[candidate], n_obs, n_act, networks.together, lane)
        else:
            arrange(policy, weights[candidate], n_obs, n_act, networks.alone[lane])


@inline
def _are_together(networks, active):
    """Return True if the networks of `active` lanes are computed side by side."""
    return active >= _FEW and networks.together.shape[0] > 0


@kernel
def arrange_lane(policy, weights, n_obs, n_act, rows, lane):
    """Arrange a candidate's flat weights in a lane of `rows`.

    In each layer, for four outputs at a time: their biases (zeros, if there are none), then their weights for one input after the
    other. The outputs that are left follow, one at a time.
    """
    sizes, source, target = layer_sizes(policy, n_obs, n_act), 0, 0
    for layer in range(len(sizes) - 1):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        bias, n_beside = source + n_in * n_out, n_out - n_out % _BESIDE
        for i in range(n_out):
            stride = _BESIDE if i < n_beside else 1
            k = (target + (i - i % stride) * (n_in + 1) + i % stride) * LANES + lane
            rows[k] = weights[bias + i] if policy.with_bias else 0.0
            for j in range(n_in):
                k += stride * LANES
                rows[k] = weights[source + i * n_in + j]
        source = bias + (n_out if policy.with_bias else 0)
        target += (n_in + 1) * n_out


def think(spec, filter, floats, row, networks, active, like):
    """Write the scores of networks to the rows of the first `active` lanes, from `row` on. Linear policies need nothing."""
    if isinstance(spec.policy, MlpPolicy):
        _think(spec, filter, floats, row, networks, active, like)


@overload(think, jit_options=INLINE)
def _think_of(spec, filter, floats, row, networks, active, like):
    if networks.kind.instance_class is Networks:
        return _think
    return lambda spec, filter, floats, row, networks, active, like: None


def _think(spec, filter, floats, row, networks, active, like):
    n_act = len(spec.low)
    if _are_together(networks, active):
        for lane in range(LANES):  # not the first `active` ones: one vector without a test
            observation = observe(spec.env, load(floats, lane, 0, like[0]))
            store(floats, lane, row + n_act, normalize(observation, filter.mean, filter.scale, filter.clip))
        fill_scores_together(spec.policy, networks.together, networks.units, floats, row, len(like[1]), n_act)
        return
    x, scratch, scores = networks.x, networks.scratch, networks.scores
    for lane in range(active):
        observation = observe(spec.env, load(floats, lane, 0, like[0]))
        put(x, 0, normalize(observation, filter.mean, filter.scale, filter.clip))
        fill_scores(spec.policy, networks.alone[lane], x, scratch, scores)
        for k in range(n_act):
            floats[at(row + k, lane)] = scores[k]


@kernel
def fill_scores_together(policy, together, units, floats, row, n_obs, n_act):
    """Write the scores of all lanes to `floats`, from `row` on, for the filtered observations that follow them there."""
    sizes, first, target = layer_sizes(policy, n_obs, n_act), 0, 0
    lanes, numbers, source = lane_numbers(floats), lane_numbers(units), units.shape[0] // LANES - n_obs
    for j in range(n_obs):
        numbers[source + j] = lanes[(row + n_act + j) * _STRIDE]
    for layer in range(1, len(sizes)):
        fill_layer_together(together, first, units, source, sizes[layer - 1], target, sizes[layer])
        if layer < len(sizes) - 1:
            activate(policy, units, target * LANES, sizes[layer] * LANES)
        first += (sizes[layer - 1] + 1) * sizes[layer]
        source, target = target, target + sizes[layer]
    for k in range(n_act):
        lanes[(row + k) * _STRIDE] = numbers[source + k]


@kernel
def fill_layer_together(together, first, units, source, n_source, target, n_target):
    """units[target:] = b + W[:, 0] units[source] + W[:, 1] units[source + 1] + ... in every lane, added in that order."""
    w, x, k = lane_numbers(together), lane_numbers(units), first
    n_beside = n_target - n_target % _BESIDE
    for i in range(target, target + n_beside, _BESIDE):
        a, b, c, d = w[k], w[k + 1], w[k + 2], w[k + 3]
        for j in range(source, source + n_source):
            k += _BESIDE
            a, b, c, d = a + w[k] * x[j], b + w[k + 1] * x[j], c + w[k + 2] * x[j], d + w[k + 3] * x[j]
        k += _BESIDE
        x[i], x[i + 1], x[i + 2], x[i + 3] = a, b, c, d
    for i in range(target + n_beside, target + n_target):
        total = w[k]
        for j in range(source, source + n_source):
            k += 1
            total = total + w[k] * x[j]
        k += 1
        x[i] = total
