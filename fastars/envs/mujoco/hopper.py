"""Hopper-v4 and -v5, exact to Gymnasium's `HopperEnv`."""

from typing import NamedTuple

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.simulated import register_rewarded
from fastars.envs.mujoco.physics import Physics, draw_uniform, put, square_sum, survival_reward


class Hopper(NamedTuple):
    """Constants of Hopper."""

    physics: Physics
    forward_reward_weight: float = 1.0
    ctrl_cost_weight: float = 1e-3
    healthy_reward: float = 1.0
    terminate_when_unhealthy: bool = True
    healthy_state_range: tuple[float, float] = (-100.0, 100.0)
    healthy_z_range: tuple[float, float] = (0.7, np.inf)  # m
    healthy_angle_range: tuple[float, float] = (-0.2, 0.2)  # rad
    reset_noise_scale: float = 5e-3
    exclude_current_positions_from_observation: bool = True


@inline
def draw_state(env, sim, rng):
    draw_uniform(env.physics, sim, rng, env.reset_noise_scale)


@inline
def observe_sim(env, sim, observation):
    first = 1 if env.exclude_current_positions_from_observation else 0
    n = put(observation, 0, sim.qpos[first:], -np.inf, np.inf)
    put(observation, n, sim.qvel, -10.0, 10.0)


@inline
def is_healthy(env, sim):
    """True if the torso is high and upright enough, and the state, without x and z, is within its range."""
    low, high = env.healthy_state_range
    healthy = True
    for k in range(2, sim.qpos.shape[0]):
        healthy &= low < sim.qpos[k] < high
    for k in range(sim.qvel.shape[0]):
        healthy &= low < sim.qvel[k] < high
    z, angle = sim.qpos[1], sim.qpos[2]
    healthy &= env.healthy_z_range[0] < z < env.healthy_z_range[1]
    return healthy & (env.healthy_angle_range[0] < angle < env.healthy_angle_range[1])


@inline
def remember(env, sim, before):
    before[0] = sim.qpos[0]


@inline
def reward_terms(env, sim, action, before):
    velocity = (sim.qpos[0] - before[0]) / env.physics.dt
    healthy = is_healthy(env, sim)
    forward, survive = env.forward_reward_weight * velocity, survival_reward(env, healthy)
    cost = np.float32(env.ctrl_cost_weight) * square_sum(action)  # float32 in Gymnasium
    return (forward, -np.float64(cost), survive), forward + survive - cost, env.terminate_when_unhealthy and not healthy


register_rewarded(Hopper, draw_state, observe_sim, reward_terms, remember=remember)
