"""The protocol of environments whose state is in a simulator (MuJoCo).

Such an environment is a NamedTuple of constants, `physics` among them, plus functions that work in place on the arrays of a
`Simulation`. They know no simulator: the same functions see an MjData, or one lane of a physics over lanes.

    draw_state(env, sim, rng)                        writes positions and velocities of an initial state, drawn from `rng`
    observe_sim(env, sim, observation)               writes the observation, float64
    remember(env, sim, before)                       writes to `before` (nq,) the parts of the state that the reward compares with
    reward_sim(env, sim, action, before) -> (reward, terminated)           after a step; `action` is an array of float32
    reward_terms(env, sim, action, before) -> (terms, reward, terminated)  the terms are a tuple, their total is `reward`
    needs_contact_forces(env) -> bool                True if `sim.cfrc_ext` must be computed after each step

`reward_terms` is for environments whose reward is a sum of several terms; `reward_sim` is derived from it.

With the functions of a simulator (`simulator`), they make an episode in an MjData: `reset_sim(env, sim, rng)` and
`step_sim(env, sim, action) -> (reward, terminated)`. Over lanes, kernels call them one by one (`kernels.rollout_physics`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from fastars._compiled.jit import INLINE, inline
from fastars._compiled.simulator import forward, reset_data, simulate


class SimulatedFunctions(NamedTuple):
    """The functions of an environment whose state is in a simulator."""

    draw_state: Callable[..., Any]
    observe_sim: Callable[..., Any]
    remember: Callable[..., Any]
    reward_sim: Callable[..., Any]
    needs_contact_forces: Callable[..., Any]
    reads_outputs: bool
    reward_terms: Callable[..., Any] | None = None


_FUNCTIONS: dict[type, SimulatedFunctions] = {}


@inline
def never(env):
    """Return False: the default of `needs_contact_forces`."""
    return False


@inline
def remember_nothing(env, sim, before):
    """Do nothing: the `remember` of an environment whose reward compares with nothing."""


def register_simulated(
    env_type: type,
    draw_state: Callable[..., Any],
    observe_sim: Callable[..., Any],
    reward_sim: Callable[..., Any],
    remember: Callable[..., Any] = remember_nothing,
    needs_contact_forces: Callable[..., Any] = never,
    reads_outputs: bool = False,
) -> None:
    """Register the functions of an environment (compiled by `jit.inline`) for the NamedTuple class of its constants.

    `reads_outputs` is True if the functions read more than `qpos`, `qvel` and `ctrl`.
    """
    _FUNCTIONS[env_type] = SimulatedFunctions(draw_state, observe_sim, remember, reward_sim, needs_contact_forces, reads_outputs)


def register_rewarded(
    env_type: type, draw_state: Callable[..., Any], observe_sim: Callable[..., Any], reward_terms: Callable[..., Any], **others: Any
) -> None:
    """The same for an environment that also returns the terms of its reward; `reward_sim` is derived from `reward_terms`."""

    @inline
    def reward_sim(env, sim, action, before):
        _, reward, terminated = reward_terms(env, sim, action, before)
        return reward, terminated

    register_simulated(env_type, draw_state, observe_sim, reward_sim, **others)
    _FUNCTIONS[env_type] = _FUNCTIONS[env_type]._replace(reward_terms=reward_terms)


def functions_of(env: Any) -> SimulatedFunctions:
    """Return the functions of an environment. Not for kernels."""
    return _FUNCTIONS[type(env)]


def reads_outputs(env: Any) -> bool:
    """Return True if the environment reads results of forward dynamics besides positions and velocities. Not for kernels."""
    return reads_outputs(env.env) if "env" in env._fields else _FUNCTIONS[type(env)].reads_outputs


def type_reads_outputs(env_type: Any) -> bool:
    """The same for the type that Numba gives an environment."""
    if "env" in env_type.fields:  # an environment around another one
        return type_reads_outputs(env_type.types[env_type.fields.index("env")])
    return _FUNCTIONS[env_type.instance_class].reads_outputs


# --- Episodes, composed of the functions of an environment and of a simulator


@inline
def reset_sim(env, sim, rng):
    """Put the simulation into an initial state, drawn from `rng`."""
    reset_data(sim)
    draw_state(env, sim, rng)
    forward(sim)


@inline
def step_sim(env, sim, action):
    """Take one step: (reward, True if the episode terminated)."""
    before = np.empty(sim.qpos.shape[0])
    remember(env, sim, before)
    simulate(sim, action, env.physics.frame_skip, needs_contact_forces(env))
    return reward_sim(env, sim, action, before)


# --- Functions of an environment


def draw_state(env, sim, rng):
    """Write positions and velocities of an initial state, drawn from `rng`."""
    _FUNCTIONS[type(env)].draw_state(env, sim, rng)


@overload(draw_state, jit_options=INLINE)
def _draw_state(env, sim, rng):
    kernel = _FUNCTIONS[env.instance_class].draw_state
    return lambda env, sim, rng: kernel(env, sim, rng)


def observe_sim(env, sim, observation):
    """Write the observation of the simulation's state."""
    _FUNCTIONS[type(env)].observe_sim(env, sim, observation)


@overload(observe_sim, jit_options=INLINE)
def _observe_sim(env, sim, observation):
    kernel = _FUNCTIONS[env.instance_class].observe_sim
    return lambda env, sim, observation: kernel(env, sim, observation)


def remember(env, sim, before):
    """Write to `before` (nq,) the parts of the state that the reward of the next step compares with."""
    _FUNCTIONS[type(env)].remember(env, sim, before)


@overload(remember, jit_options=INLINE)
def _remember(env, sim, before):
    kernel = _FUNCTIONS[env.instance_class].remember
    return lambda env, sim, before: kernel(env, sim, before)


def reward_sim(env, sim, action, before):
    """Return (the reward of the step that led to the simulation's state, True if the episode terminated)."""
    return _FUNCTIONS[type(env)].reward_sim(env, sim, action, before)


@overload(reward_sim, jit_options=INLINE)
def _reward_sim(env, sim, action, before):
    kernel = _FUNCTIONS[env.instance_class].reward_sim
    return lambda env, sim, action, before: kernel(env, sim, action, before)


def reward_terms(env, sim, action, before):
    """Return (terms of the reward, the reward, True if the episode terminated)."""
    return _FUNCTIONS[type(env)].reward_terms(env, sim, action, before)


@overload(reward_terms, jit_options=INLINE)
def _reward_terms(env, sim, action, before):
    kernel = _FUNCTIONS[env.instance_class].reward_terms
    return lambda env, sim, action, before: kernel(env, sim, action, before)


def needs_contact_forces(env):
    """Return True if `sim.cfrc_ext` must be computed after each step."""
    return _FUNCTIONS[type(env)].needs_contact_forces(env)


@overload(needs_contact_forces, jit_options=INLINE)
def _needs_contact_forces(env):
    kernel = _FUNCTIONS[env.instance_class].needs_contact_forces
    return lambda env: kernel(env)
