"""Layout of a policy's flat weights: sizes of layers, numbers of weights and scores, and the parts that a policy is passed in."""

from typing import NamedTuple

from numba.extending import overload, register_jitable

from fastars._compiled.jit import INLINE
from fastars._compiled.simd import WIDE
from fastars._compiled.structs import LinearPolicy, MlpPolicy


def layer_sizes(policy, n_obs, n_act):
    """Return the number of entries of the observation, of each hidden layer, and of the scores."""
    return (n_obs, *getattr(policy, "net_arch", ()), n_act)


@overload(layer_sizes, jit_options=INLINE)
def _layer_sizes(policy, n_obs, n_act):
    if getattr(policy, "instance_class", None) is MlpPolicy:
        return lambda policy, n_obs, n_act: (n_obs, *policy.net_arch, n_act)
    return lambda policy, n_obs, n_act: (n_obs, n_act)


@register_jitable(**INLINE)
def n_weights(policy, n_obs, n_act):
    """Return the length of the flat weights."""
    sizes, n = layer_sizes(policy, n_obs, n_act), 0
    for layer in range(len(sizes) - 1):
        n += (sizes[layer] + (1 if policy.with_bias else 0)) * sizes[layer + 1]
    return n


@register_jitable(**INLINE)
def n_scores(policy, n_flat, n_obs):
    """Return the number of scores of a policy with `n_flat` flat weights."""
    n_last = layer_sizes(policy, n_obs, 0)[-2]
    return (n_flat - n_weights(policy, n_obs, 0)) // (n_last + (1 if policy.with_bias else 0))


@register_jitable(**INLINE)
def arranged_size(policy, n_obs, n_act):
    """Return the length of the arranged weights: every layer has room for a bias, also without one."""
    sizes, n = layer_sizes(policy, n_obs, n_act), 0
    for layer in range(len(sizes) - 1):
        n += (sizes[layer] + 1) * sizes[layer + 1]
    return n


@register_jitable(**INLINE)
def scratch_size(policy, n_obs, n_act):
    """Return the number of entries of all layers together, and of room behind the scores: `activate` works on `WIDE` at a time."""
    n = WIDE
    for size in layer_sizes(policy, n_obs, n_act):
        n += size
    return n


def n_padding(policy, n_act):
    """Return the number of zeros after the flat weights in a row for rollouts: a linear policy always has room for a bias there."""
    return n_act if isinstance(policy, LinearPolicy) and not policy.with_bias else 0


@overload(n_padding, jit_options=INLINE)
def _n_padding(policy, n_act):
    if getattr(policy, "instance_class", None) is LinearPolicy:
        return lambda policy, n_act: 0 if policy.with_bias else n_act
    return lambda policy, n_act: 0


class _NoHiddenLayer(NamedTuple):
    """The activation among the parts of a linear policy."""


def parts(policy):
    """Return a policy as (net_arch, activation, with_bias): a prange can't pass a tuple of tuples to its threads."""
    if isinstance(policy, LinearPolicy):
        return (), _NoHiddenLayer(), policy.with_bias
    return tuple(policy)


@overload(parts, jit_options=INLINE)
def _parts(policy):
    if getattr(policy, "instance_class", None) is LinearPolicy:
        return lambda policy: ((), _NoHiddenLayer(), policy.with_bias)
    return lambda policy: (policy.net_arch, policy.activation, policy.with_bias)


def policy_of(net_arch, activation, with_bias):
    """Return the policy that has these parts."""
    return LinearPolicy(with_bias) if isinstance(activation, _NoHiddenLayer) else MlpPolicy(net_arch, activation, with_bias)


@overload(policy_of, jit_options=INLINE)
def _policy_of(net_arch, activation, with_bias):
    if activation.instance_class is _NoHiddenLayer:
        return lambda net_arch, activation, with_bias: LinearPolicy(with_bias)
    return lambda net_arch, activation, with_bias: MlpPolicy(net_arch, activation, with_bias)
