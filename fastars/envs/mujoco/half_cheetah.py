"""HalfCheetah-v4 and -v5, exact to Gymnasium's `HalfCheetahEnv`."""

from typing import NamedTuple

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.simulated import register_rewarded
from fastars.envs.mujoco.physics import Physics, draw_normal, put, square_sum


class HalfCheetah(NamedTuple):
    """Constants of HalfCheetah."""

    physics: Physics
    forward_reward_weight: float = 1.0
    ctrl_cost_weight: float = 0.1
    reset_noise_scale: float = 0.1
    exclude_current_positions_from_observation: bool = True


@inline
def draw_state(env, sim, rng):
    draw_normal(env.physics, sim, rng, env.reset_noise_scale)


@inline
def observe_sim(env, sim, observation):
    first = 1 if env.exclude_current_positions_from_observation else 0
    n = put(observation, 0, sim.qpos[first:], -np.inf, np.inf)
    put(observation, n, sim.qvel, -np.inf, np.inf)


@inline
def remember(env, sim, before):
    before[0] = sim.qpos[0]


@inline
def reward_terms(env, sim, action, before):
    velocity = (sim.qpos[0] - before[0]) / env.physics.dt
    # Gymnasium's cost stays float32: the sum of the squares of a float32 action, times a Python float.
    cost = np.float32(env.ctrl_cost_weight) * square_sum(action)
    forward = env.forward_reward_weight * velocity
    return (forward, -np.float64(cost)), forward - cost, False


register_rewarded(HalfCheetah, draw_state, observe_sim, reward_terms, remember=remember)
