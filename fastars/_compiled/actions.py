"""From the scores of a policy to an action, by the type of the action space.

`choose` works on tuples, for lanes. `act` works on arrays, for episodes that run one after the other. Both give the same bits.
"""

import numpy as np
from numba.extending import overload

from fastars._compiled.jit import INLINE, inline
from fastars._compiled.structs import Argmax, Choices, Clip, Signs, Squash, Unclipped
from fastars._compiled.trig import tanh
from fastars._compiled.tuples import argmax, clip32, squash, to_float32, unit_to_box


def choose(actions, scores, low, high):
    """Return the action for the tuple `scores`; `low` and `high` are the bounds of a Box."""
    return _CHOOSE[type(actions)](actions, scores, low, high)


@overload(choose, jit_options=INLINE)
def _choose(actions, scores, low, high):
    kernel = _CHOOSE.get(getattr(actions, "instance_class", None))
    if kernel is not None:
        return lambda actions, scores, low, high: kernel(actions, scores, low, high)


@inline
def _choose_discrete(actions, scores, low, high):
    return actions.start + argmax(scores)


@inline
def _choose_clipped(actions, scores, low, high):
    return clip32(scores, low, high)


@inline
def _choose_unclipped(actions, scores, low, high):
    return to_float32(scores)


@inline
def _choose_squashed(actions, scores, low, high):
    return clip32(squash(scores, low, high), low, high)  # rounded to float32, it may lie beyond a bound


_CHOOSE = {Argmax: _choose_discrete, Clip: _choose_clipped, Unclipped: _choose_unclipped, Squash: _choose_squashed}


def empty_action(actions, n_act):
    """Make an array for an action of an environment with `n_act` scores."""
    return np.empty(1, np.int64) if isinstance(actions, Argmax) else np.empty(n_act, np.float32)


@overload(empty_action, jit_options=INLINE)
def _empty_action(actions, n_act):
    if getattr(actions, "instance_class", None) is Argmax:
        return lambda actions, n_act: np.empty(1, np.int64)
    return lambda actions, n_act: np.empty(n_act, np.float32)


def act(actions, scores, low, high, action):
    """Write the action for the array `scores` to the array `action`, with the bits of `choose`.

    For a Box space, `action` and its bounds, the arrays `low` and `high`, are float32 or float64. For all others, `action` is
    int64.
    """
    _ACT[type(actions)](actions, scores, low, high, action)


@overload(act, jit_options=INLINE)
def _act(actions, scores, low, high, action):
    kernel = _ACT.get(getattr(actions, "instance_class", None))
    if kernel is not None:
        return lambda actions, scores, low, high, action: kernel(actions, scores, low, high, action)


@inline
def _act_discrete(actions, scores, low, high, action):
    action[0] = actions.start + _first_largest(scores, 0, scores.shape[0])


@inline
def _act_clipped(actions, scores, low, high, action):
    for k in range(action.shape[0]):
        action[k] = scores[k]
        _clip(action, k, low, high)


@inline
def _act_unclipped(actions, scores, low, high, action):
    for k in range(action.shape[0]):
        action[k] = scores[k]


@inline
def _act_squashed(actions, scores, low, high, action):
    for k in range(action.shape[0]):
        action[k] = unit_to_box(tanh(scores[k]), np.float64(low[k]), np.float64(high[k]))
        _clip(action, k, low, high)


@inline
def _act_choices(actions, scores, low, high, action):
    first = 0
    for k in range(action.shape[0]):
        action[k] = actions.starts[k] + _first_largest(scores, first, actions.sizes[k])
        first += actions.sizes[k]


@inline
def _act_signs(actions, scores, low, high, action):
    for k in range(action.shape[0]):
        action[k] = 1 if scores[k] > 0.0 else 0


@inline
def _clip(action, k, low, high):
    """Clip an entry to its bounds. NaN stays NaN."""
    value = action[k]
    value = low[k] if value < low[k] else value
    action[k] = high[k] if value > high[k] else value


@inline
def _first_largest(scores, first, size):
    """Return the index, counted from `first`, of the largest of `size` scores; among equals, of the first."""
    index = 0
    for k in range(1, size):
        index = k if scores[first + k] > scores[first + index] else index
    return index


_ACT = {
    Argmax: _act_discrete,
    Clip: _act_clipped,
    Unclipped: _act_unclipped,
    Squash: _act_squashed,
    Choices: _act_choices,
    Signs: _act_signs,
}
