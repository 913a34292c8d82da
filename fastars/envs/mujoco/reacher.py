"""Reacher-v4 and -v5, exact to Gymnasium's `ReacherEnv`."""

import math
from typing import NamedTuple

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.rng import uniform
from fastars._compiled.simulated import register_rewarded
from fastars.envs.mujoco.physics import Physics, distance, norm, put, square_sum


class Reacher(NamedTuple):
    """Constants of Reacher."""

    physics: Physics
    reward_dist_weight: float = 1.0
    reward_control_weight: float = 1.0
    fingertip: int = 0  # a body
    target: int = 0  # a body


@inline
def draw_state(env, sim, rng):
    nq, nv = sim.qpos.shape[0], sim.qvel.shape[0]
    for k in range(nq):
        sim.qpos[k] = env.physics.init_qpos[k] + uniform(rng, -0.1, 0.1)
    sim.qpos[nq - 2], sim.qpos[nq - 1] = draw_goal(env.physics, rng)
    for k in range(nv):
        sim.qvel[k] = env.physics.init_qvel[k] + uniform(rng, -0.005, 0.005)
    sim.qvel[nv - 2], sim.qvel[nv - 1] = 0.0, 0.0


@inline
def draw_goal(physics, rng):
    """Draw a point in the circle of radius 0.2."""
    while True:
        x = uniform(rng, -0.2, 0.2)
        y = uniform(rng, -0.2, 0.2)
        if norm(x, y, 0.0, physics.is_fused) < 0.2:
            return x, y


@inline
def observe_sim(env, sim, observation):
    for k in range(2):
        observation[k], observation[2 + k] = math.cos(sim.qpos[k]), math.sin(sim.qpos[k])
    n = put(observation, 4, sim.qpos[2:], -np.inf, np.inf)
    n = put(observation, n, sim.qvel[:2], -np.inf, np.inf)
    for k in range(3 if env.physics.version == 4 else 2):
        observation[n + k] = sim.xpos[env.fingertip, k] - sim.xpos[env.target, k]


@inline
def remember(env, sim, before):
    before[0] = distance(sim, env.fingertip, env.target, env.physics)


@inline
def reward_terms(env, sim, action, before):
    distance_after = distance(sim, env.fingertip, env.target, env.physics)
    far = -(before[0] if env.physics.version == 4 else distance_after) * env.reward_dist_weight
    cost = square_sum(action) * np.float32(env.reward_control_weight)  # float32 in Gymnasium
    return (far, -np.float64(cost)), far - cost, False


register_rewarded(Reacher, draw_state, observe_sim, reward_terms, remember=remember, reads_outputs=True)
