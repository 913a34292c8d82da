"""The words in which the rollout kernel speaks to environments, policies and action spaces.

An environment is a NamedTuple of constants plus three scalar functions, held together by the NamedTuple's *type*:

    reset(env, rng) -> state                           draws an initial state from the generator `rng` (see `_rng`)
    observe(env, state) -> observation                 a tuple of float32
    step(env, state, action) -> (state, reward, terminated)

`state` is a tuple of floats. `action` is an int for a Discrete space and a tuple of float32 for a Box. `reward` is a float, or a
tuple of floats, one for each of several tasks. The functions are pure, made of selects rather than branches, and compiled by
`_jit.inline`, so that the rollout kernel can run them over SIMD lanes.

Where a simulator holds the state (MuJoCo), there are no lanes, and the functions work in place on arrays, one episode at a time:

    reset_sim(env, sim, rng)                            puts the `Simulation` into an initial state
    observe_sim(env, sim, observation)                  writes the observation, float64
    step_sim(env, sim, action) -> (reward, terminated)  `action` is an array of float32

An environment whose reward is a sum of several terms has a function that returns the terms, too. `step_sim` is derived from it:

    reward_terms(env, sim, action) -> (terms, reward, terminated)   the terms are a tuple, their total is `reward`

An environment of scalar functions can be stepped like that, too: `sim` is then an `Alone`, and `action` an array as `act` fills it.

Numba picks the function by the type of the first argument at compile time, which keeps the compiled code cacheable: a function
passed as an argument is never found in the cache again. Plain Python calls of these names (`NUMBA_DISABLE_JIT=1`, a notebook) do
the same look-up at run time.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from fastars._compiled.jit import INLINE, inline
from fastars._compiled.structs import Argmax, Choices, Clip, FloatArray, IntArray, Signs, Squash, Unclipped
from fastars._compiled.trig import tanh
from fastars._compiled.tuples import argmax, clip32, entries, put, squash, to_float32, unit_to_box


class EnvFunctions(NamedTuple):
    """The three scalar functions of a compiled environment."""

    reset: Callable[..., Any]
    observe: Callable[..., Any]
    step: Callable[..., Any]


class SimulatedFunctions(NamedTuple):
    """The three functions of an environment whose state is in a simulator."""

    reset_sim: Callable[..., Any]
    observe_sim: Callable[..., Any]
    step_sim: Callable[..., Any]
    reward_terms: Callable[..., Any] | None = None


class Alone(NamedTuple):
    """Memory of one environment of scalar functions, stepped alone: what a `Simulation` is to MuJoCo's."""

    state: FloatArray
    like_state: Any  # tuples as long as a state and as an action
    like_action: Any
    fault: IntArray  # (1,), 0


_FUNCTIONS: dict[type, EnvFunctions | SimulatedFunctions] = {}


def register_functions(env_type: type, reset: Callable[..., Any], observe: Callable[..., Any], step: Callable[..., Any]) -> None:
    """Tie the functions of an environment (compiled by `_jit.inline`) to the NamedTuple class of its constants."""
    _FUNCTIONS[env_type] = EnvFunctions(reset, observe, step)


def register_simulated(
    env_type: type, reset_sim: Callable[..., Any], observe_sim: Callable[..., Any], step_sim: Callable[..., Any]
) -> None:
    """The same for an environment whose state is in a simulator."""
    _FUNCTIONS[env_type] = SimulatedFunctions(reset_sim, observe_sim, step_sim)


def register_rewarded(
    env_type: type, reset_sim: Callable[..., Any], observe_sim: Callable[..., Any], reward_terms: Callable[..., Any]
) -> None:
    """The same for an environment that also returns the terms of its reward; `step_sim` is derived from `reward_terms`."""

    @inline
    def step_sim(env, sim, action):
        _, reward, terminated = reward_terms(env, sim, action)
        return reward, terminated

    _FUNCTIONS[env_type] = SimulatedFunctions(reset_sim, observe_sim, step_sim, reward_terms)


def _functions_of(numba_type: Any) -> Any:
    return _FUNCTIONS.get(getattr(numba_type, "instance_class", None))  # type: ignore[arg-type]


def reset(env, rng):
    """Initial state of an episode, drawn from `rng`."""
    return _FUNCTIONS[type(env)].reset(env, rng)


@overload(reset, jit_options=INLINE)
def _reset(env, rng):
    functions = _functions_of(env)
    if functions is not None:
        kernel = functions.reset
        return lambda env, rng: kernel(env, rng)


def observe(env, state):
    """Observation of a state: a tuple of float32."""
    return _FUNCTIONS[type(env)].observe(env, state)


@overload(observe, jit_options=INLINE)
def _observe(env, state):
    functions = _functions_of(env)
    if functions is not None:
        kernel = functions.observe
        return lambda env, state: kernel(env, state)


def step(env, state, action):
    """One step: (next state, reward, whether the episode terminated)."""
    return _FUNCTIONS[type(env)].step(env, state, action)


@overload(step, jit_options=INLINE)
def _step(env, state, action):
    functions = _functions_of(env)
    if functions is not None:
        kernel = functions.step
        return lambda env, state, action: kernel(env, state, action)


def reset_sim(env, sim, rng):
    """Put the simulation into an initial state, drawn from `rng`."""
    _in_place(_FUNCTIONS[type(env)]).reset_sim(env, sim, rng)


@overload(reset_sim, jit_options=INLINE)
def _reset_sim(env, sim, rng):
    functions = _in_place(_functions_of(env))
    if functions is not None:
        kernel = functions.reset_sim
        return lambda env, sim, rng: kernel(env, sim, rng)


def observe_sim(env, sim, observation):
    """Write the observation of the simulation's state."""
    _in_place(_FUNCTIONS[type(env)]).observe_sim(env, sim, observation)


@overload(observe_sim, jit_options=INLINE)
def _observe_sim(env, sim, observation):
    functions = _in_place(_functions_of(env))
    if functions is not None:
        kernel = functions.observe_sim
        return lambda env, sim, observation: kernel(env, sim, observation)


def step_sim(env, sim, action):
    """One step: (reward, whether the episode terminated)."""
    return _in_place(_FUNCTIONS[type(env)]).step_sim(env, sim, action)


@overload(step_sim, jit_options=INLINE)
def _step_sim(env, sim, action):
    functions = _in_place(_functions_of(env))
    if functions is not None:
        kernel = functions.step_sim
        return lambda env, sim, action: kernel(env, sim, action)


def reward_terms(env, sim, action):
    """One step: (terms of the reward, the reward, whether the episode terminated)."""
    return _FUNCTIONS[type(env)].reward_terms(env, sim, action)


@overload(reward_terms, jit_options=INLINE)
def _reward_terms(env, sim, action):
    functions = _functions_of(env)
    if functions is not None:
        kernel = functions.reward_terms
        return lambda env, sim, action: kernel(env, sim, action)


def _in_place(functions):
    """The functions that work on arrays; those of scalar functions call them."""
    return _ALONE if isinstance(functions, EnvFunctions) else functions


def _scalars(action, like):
    """The action of an array as scalar functions take it: an int, or a tuple as long as `like`."""
    return int(action[0]) if action.dtype == np.int64 else entries(action, 0, like)


@overload(_scalars, jit_options=INLINE)
def _scalars_of(action, like):
    if action.dtype == types.int64:
        return lambda action, like: action[0]
    return lambda action, like: entries(action, 0, like)


@inline
def _reset_alone(env, sim, rng):
    put(sim.state, 0, reset(env, rng))


@inline
def _observe_alone(env, sim, observation):
    put(observation, 0, observe(env, entries(sim.state, 0, sim.like_state)))


@inline
def _step_alone(env, sim, action):
    state, reward, terminated = step(env, entries(sim.state, 0, sim.like_state), _scalars(action, sim.like_action))
    put(sim.state, 0, state)
    return reward, terminated


_ALONE = SimulatedFunctions(_reset_alone, _observe_alone, _step_alone)


def choose(actions, scores, low, high):
    """The action that `scores` stand for; `low` and `high` are the bounds of a Box."""
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
    """Room for an action of an environment with `n_act` scores."""
    return np.empty(1, np.int64) if isinstance(actions, Argmax) else np.empty(n_act, np.float32)


@overload(empty_action, jit_options=INLINE)
def _empty_action(actions, n_act):
    if getattr(actions, "instance_class", None) is Argmax:
        return lambda actions, n_act: np.empty(1, np.int64)
    return lambda actions, n_act: np.empty(n_act, np.float32)


def act(actions, scores, low, high, action):
    """Write the action that the array `scores` stands for, as `choose` gives it, to the array `action`.

    That is float32 or float64 for a Box space, and so are its bounds, the arrays `low` and `high`; int64 for all others.
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
    """Index of the first of the largest of `size` scores, counted from `first`."""
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
