"""Kernels of checks: an episode under given actions, a step of a physics, loops over lanes that call an environment's function."""

import numpy as np

from fastars._compiled.jit import kernel
from fastars._compiled.lane_rows import LANES, at, load, store
from fastars._compiled.protocol import observe, reset, step, step_physics
from fastars._compiled.rng import seed_generator
from fastars._compiled.tuples import entries, put, rewards_of, to_float32


@kernel
def first_step(env, rng, action):
    """Take a step from an initial state: (state, observation, next state, reward, terminated)."""
    state = reset(env, rng)
    after, reward, terminated = step(env, state, action)
    return state, observe(env, state), after, reward, terminated


@kernel
def discrete_episode(env, seed, actions, observations, rewards):
    """Run an episode under actions (n,); return (length, True if it terminated).

    Observations (n + 1, n_obs) and rewards (n, n_rewards) are written up to the end of the episode.
    """
    rng = np.zeros(4, np.uint64)
    seed_generator(rng, seed)
    state = reset(env, rng)
    _write(observe(env, state), observations[0])
    for t in range(actions.shape[0]):
        state, reward, terminated = step(env, state, actions[t])
        put(rewards[t], 0, rewards_of(reward))
        _write(observe(env, state), observations[t + 1])
        if terminated:
            return t + 1, True
    return actions.shape[0], False


@kernel
def box_episode(env, seed, actions, like_action, observations, rewards):
    """Run an episode under actions (n, n_act), float32, as `discrete_episode` does; `like_action` is a tuple of n_act entries."""
    rng = np.zeros(4, np.uint64)
    seed_generator(rng, seed)
    state = reset(env, rng)
    _write(observe(env, state), observations[0])
    for t in range(actions.shape[0]):
        state, reward, terminated = step(env, state, entries(actions[t], 0, like_action))
        put(rewards[t], 0, rewards_of(reward))
        _write(observe(env, state), observations[t + 1])
        if terminated:
            return t + 1, True
    return actions.shape[0], False


@kernel
def step_simulations(lanes, n_steps):
    """Step a physics over lanes (`SimulationLanes`), and write its outputs if they are wanted."""
    step_physics(lanes, n_steps)


@kernel
def _write(observation, row):
    values = np.array(observation)
    for k in range(row.shape[0]):
        row[k] = values[k]


# `check_env` compiles the loops below to look at their LLVM code. They are never run, so they have no decorator.


def observe_lanes(env, states, like_state, observations):
    """Call `observe` in all lanes."""
    for lane in range(LANES):
        store(observations, lane, 0, observe(env, load(states, lane, 0, like_state)))


def step_lanes_discrete(env, states, like_state, actions, rewards, ended):
    """Call `step` in all lanes, with actions (LANES,)."""
    for lane in range(LANES):
        state, reward, terminated = step(env, load(states, lane, 0, like_state), actions[at(0, lane)])
        store(states, lane, 0, state)
        store(rewards, lane, 0, rewards_of(reward))
        ended[at(0, lane)] = 1 if terminated else 0


def step_lanes_box(env, states, like_state, actions, like_action, rewards, ended):
    """Call `step` in all lanes, with tuples of float32 made of the rows of `actions`."""
    for lane in range(LANES):
        action = to_float32(load(actions, lane, 0, like_action))
        state, reward, terminated = step(env, load(states, lane, 0, like_state), action)
        store(states, lane, 0, state)
        store(rewards, lane, 0, rewards_of(reward))
        ended[at(0, lane)] = 1 if terminated else 0
