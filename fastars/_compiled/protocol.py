"""The protocol between kernels and environments.

An environment is a NamedTuple of constants plus three scalar functions. They belong together by the NamedTuple's *type*:

    reset(env, rng) -> state                           draws an initial state from the generator `rng` (see `rng`)
    observe(env, state) -> observation                 a tuple of float32
    step(env, state, action) -> (state, reward, terminated)

`state` is a tuple of floats. `action` is an int for a Discrete space and a tuple of float32 for a Box. `reward` is a float, or a
tuple of floats, one for each of several tasks. The functions are pure, have no branches (`a if c else b` is none), and are compiled
by `jit.inline`, so that the rollout kernel can run them in SIMD lanes.

If a simulator holds the state (MuJoCo), there are no lanes. The functions then work in place on arrays, one episode at a time:

    reset_sim(env, sim, rng)                            puts the `Simulation` into an initial state
    observe_sim(env, sim, observation)                  writes the observation, float64
    step_sim(env, sim, action) -> (reward, terminated)  `action` is an array of float32

An environment whose reward is a sum of several terms has a function that returns the terms, too. `step_sim` is derived from it:

    reward_terms(env, sim, action) -> (terms, reward, terminated)   the terms are a tuple, their total is `reward`

An environment of scalar functions can be stepped like that, too: `sim` is then an `Alone`, and `action` an array as `act` fills it.

Numba picks the function by the type of the first argument at compile time. So compiled code can be cached: code that takes a
function as an argument is never found in the cache again. In plain Python (`NUMBA_DISABLE_JIT=1`, a notebook), a call of these
names picks the function at run time.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from fastars._compiled.jit import INLINE, inline
from fastars._compiled.structs import FloatArray, IntArray
from fastars._compiled.tuples import entries, put


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
    """Memory of one environment of scalar functions that is stepped as if it were in a simulator (`Simulation`)."""

    state: FloatArray
    like_state: Any  # tuples as long as a state and as an action
    like_action: Any
    fault: IntArray  # (1,), 0


_FUNCTIONS: dict[type, EnvFunctions | SimulatedFunctions] = {}


def register_functions(env_type: type, reset: Callable[..., Any], observe: Callable[..., Any], step: Callable[..., Any]) -> None:
    """Register the functions of an environment (compiled by `jit.inline`) for the NamedTuple class of its constants."""
    _FUNCTIONS[env_type] = EnvFunctions(reset, observe, step)


def register_simulated(env_type: type, begin: Callable[..., Any], sense: Callable[..., Any], advance: Callable[..., Any]) -> None:
    """Register the functions of an environment whose state is in a simulator."""
    _FUNCTIONS[env_type] = SimulatedFunctions(begin, sense, advance)


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
    """Draw the initial state of an episode from `rng`."""
    return _FUNCTIONS[type(env)].reset(env, rng)


@overload(reset, jit_options=INLINE)
def _reset(env, rng):
    functions = _functions_of(env)
    if functions is not None:
        kernel = functions.reset
        return lambda env, rng: kernel(env, rng)


def observe(env, state):
    """Return the observation of a state: a tuple of float32."""
    return _FUNCTIONS[type(env)].observe(env, state)


@overload(observe, jit_options=INLINE)
def _observe(env, state):
    functions = _functions_of(env)
    if functions is not None:
        kernel = functions.observe
        return lambda env, state: kernel(env, state)


def step(env, state, action):
    """Take one step: (next state, reward, True if the episode terminated)."""
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
    """Return the functions that work on arrays; for scalar functions, functions on arrays that call them."""
    return _ALONE if isinstance(functions, EnvFunctions) else functions


def _scalars(action, like):
    """Return the action in an array as scalar functions take it: an int, or a tuple as long as `like`."""
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
