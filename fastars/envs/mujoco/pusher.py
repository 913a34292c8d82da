"""Pusher-v5, exact to Gymnasium's `PusherEnv`."""

from typing import NamedTuple

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.rng import uniform
from fastars._compiled.simulated import register_rewarded
from fastars.envs.mujoco.physics import Physics, distance, norm, put, square_sum


class Pusher(NamedTuple):
    """Constants of Pusher."""

    physics: Physics
    reward_near_weight: float = 0.5
    reward_dist_weight: float = 1.0
    reward_control_weight: float = 0.1
    tips_arm: int = 0  # a body
    object: int = 0  # a body
    goal: int = 0  # a body


@inline
def draw_state(env, sim, rng):
    """The last four positions belong to the object and to the goal, which is at (0, 0)."""
    nq, nv = sim.qpos.shape[0], sim.qvel.shape[0]
    for k in range(nq):
        sim.qpos[k] = env.physics.init_qpos[k]
    sim.qpos[nq - 4], sim.qpos[nq - 3] = draw_object(env.physics, rng)
    sim.qpos[nq - 2], sim.qpos[nq - 1] = 0.0, 0.0
    for k in range(nv):
        noise = uniform(rng, -0.005, 0.005)
        sim.qvel[k] = env.physics.init_qvel[k] + noise if k < nv - 4 else 0.0


@inline
def draw_object(physics, rng):
    """Draw a point that is not too near to the goal."""
    while True:
        x = uniform(rng, -0.3, 0.0)
        y = uniform(rng, -0.2, 0.2)
        if norm(x, y, 0.0, physics.is_fused) > 0.17:
            return x, y


@inline
def observe_sim(env, sim, observation):
    n = put(observation, 0, sim.qpos[:7], -np.inf, np.inf)
    n = put(observation, n, sim.qvel[:7], -np.inf, np.inf)
    n = put(observation, n, sim.xpos[env.tips_arm], -np.inf, np.inf)
    n = put(observation, n, sim.xpos[env.object], -np.inf, np.inf)
    put(observation, n, sim.xpos[env.goal], -np.inf, np.inf)


@inline
def reward_terms(env, sim, action, before):
    near = -distance(sim, env.object, env.tips_arm, env.physics) * env.reward_near_weight
    far = -distance(sim, env.object, env.goal, env.physics) * env.reward_dist_weight
    cost = square_sum(action) * np.float32(env.reward_control_weight)  # float32 in Gymnasium
    return (far, -np.float64(cost), near), far - cost + near, False


register_rewarded(Pusher, draw_state, observe_sim, reward_terms, reads_outputs=True)
