"""The words in which the rollout kernel speaks to environments, policies and action spaces.

An environment is a NamedTuple of constants plus three scalar functions, held together by the NamedTuple's *type*:

    reset(env, rng) -> state                           draws an initial state from the generator `rng` (see `_rng`)
    observe(env, state) -> observation                 a tuple of float32
    step(env, state, action) -> (state, reward, terminated)

`state` is a tuple of floats. `action` is an int for a Discrete space and a tuple of float32 for a Box. The functions are pure, made
of selects rather than branches, and compiled by `_jit.inline`, so that the rollout kernel can run them over SIMD lanes.

Where a simulator holds the state (MuJoCo), there are no lanes, and the functions work in place on arrays, one episode at a time:

    begin(env, sim, rng)                               puts the `Simulation` into an initial state
    sense(env, sim, observation)                       writes the observation, float64
    advance(env, sim, action) -> (reward, terminated)  `action` is an array of float32

Numba picks the function by the type of the first argument at compile time, which keeps the compiled code cacheable: a function
passed as an argument is never found in the cache again. Plain Python calls of these names (`NUMBA_DISABLE_JIT=1`, a notebook) do
the same look-up at run time.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from fastars._jit import INLINE, inline
from fastars._structs import Argmax, Clip, Unclipped
from fastars._tuples import argmax, clip32, to_float32


class EnvFunctions(NamedTuple):
    """The three scalar functions of a compiled environment."""

    reset: Callable[..., Any]
    observe: Callable[..., Any]
    step: Callable[..., Any]


class SimulatedFunctions(NamedTuple):
    """The three functions of an environment whose state is in a simulator."""

    begin: Callable[..., Any]
    sense: Callable[..., Any]
    advance: Callable[..., Any]


_FUNCTIONS: dict[type, EnvFunctions | SimulatedFunctions] = {}


def register_functions(env_type: type, reset: Callable[..., Any], observe: Callable[..., Any], step: Callable[..., Any]) -> None:
    """Tie the functions of an environment (compiled by `_jit.inline`) to the NamedTuple class of its constants."""
    _FUNCTIONS[env_type] = EnvFunctions(reset, observe, step)


def register_simulated(env_type: type, begin: Callable[..., Any], sense: Callable[..., Any], advance: Callable[..., Any]) -> None:
    """The same for an environment whose state is in a simulator."""
    _FUNCTIONS[env_type] = SimulatedFunctions(begin, sense, advance)


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


def begin(env, sim, rng):
    """Put the simulation into an initial state, drawn from `rng`."""
    _FUNCTIONS[type(env)].begin(env, sim, rng)


@overload(begin, jit_options=INLINE)
def _begin(env, sim, rng):
    functions = _functions_of(env)
    if functions is not None:
        kernel = functions.begin
        return lambda env, sim, rng: kernel(env, sim, rng)


def sense(env, sim, observation):
    """Write the observation of the simulation's state."""
    _FUNCTIONS[type(env)].sense(env, sim, observation)


@overload(sense, jit_options=INLINE)
def _sense(env, sim, observation):
    functions = _functions_of(env)
    if functions is not None:
        kernel = functions.sense
        return lambda env, sim, observation: kernel(env, sim, observation)


def advance(env, sim, action):
    """One step: (reward, whether the episode terminated)."""
    return _FUNCTIONS[type(env)].advance(env, sim, action)


@overload(advance, jit_options=INLINE)
def _advance(env, sim, action):
    functions = _functions_of(env)
    if functions is not None:
        kernel = functions.advance
        return lambda env, sim, action: kernel(env, sim, action)


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


def act(actions, scores, low, high, action):
    """Write the action of a Box space that `scores` stand for, as `choose` gives it."""
    action[:] = choose(actions, tuple(scores), low, high)


@overload(act, jit_options=INLINE)
def _act(actions, scores, low, high, action):
    kernel = {Clip: _act_clipped, Unclipped: _act_unclipped}.get(getattr(actions, "instance_class", None))
    if kernel is not None:
        return lambda actions, scores, low, high, action: kernel(scores, low, high, action)


@inline
def _act_clipped(scores, low, high, action):
    for k in range(action.shape[0]):
        (action[k],) = clip32((scores[k],), (low[k],), (high[k],))


@inline
def _act_unclipped(scores, low, high, action):
    for k in range(action.shape[0]):
        action[k] = np.float32(scores[k])


_CHOOSE = {Argmax: _choose_discrete, Clip: _choose_clipped, Unclipped: _choose_unclipped}
