"""InvertedDoublePendulum-v4 and -v5, exact to Gymnasium's `InvertedDoublePendulumEnv`."""

import math
from typing import NamedTuple

from fastars._compiled.jit import inline
from fastars._compiled.simulated import register_rewarded
from fastars.envs.mujoco.physics import Physics, draw_normal, put


class InvertedDoublePendulum(NamedTuple):
    """Constants of InvertedDoublePendulum."""

    physics: Physics
    healthy_reward: float = 10.0
    reset_noise_scale: float = 0.1
    # Gymnasium's x**2 is the C library's pow, which is not always x * x; with a constant exponent, LLVM would turn it into x * x.
    two: float = 2.0


@inline
def draw_state(env, sim, rng):
    draw_normal(env.physics, sim, rng, env.reset_noise_scale)


@inline
def observe_sim(env, sim, observation):
    n_angles = sim.qpos.shape[0] - 1
    observation[0] = sim.qpos[0]
    for k in range(1, n_angles + 1):
        observation[k], observation[n_angles + k] = math.sin(sim.qpos[k]), math.cos(sim.qpos[k])
    n = put(observation, 1 + 2 * n_angles, sim.qvel, -10.0, 10.0)
    n_forces = sim.qvel.shape[0] if env.physics.version == 4 else 1
    put(observation, n, sim.qfrc_constraint[:n_forces], -10.0, 10.0)


@inline
def distance_penalty(env, x, y):
    return 0.01 * x**env.two + (y - 2.0) ** env.two


@inline
def velocity_penalty(env, v1, v2):
    return 1e-3 * v1**env.two + 5e-3 * v2**env.two


@inline
def reward_terms(env, sim, action, before):
    x, y = sim.site_xpos[0, 0], sim.site_xpos[0, 2]
    terminated = y <= 1.0
    # Version 4 gives this reward in the last step, too.
    bonus = 0.0 if terminated and env.physics.version == 5 else env.healthy_reward
    far, fast = distance_penalty(env, x, y), velocity_penalty(env, sim.qvel[1], sim.qvel[2])
    return (bonus, -far, -fast), bonus - far - fast, terminated


register_rewarded(InvertedDoublePendulum, draw_state, observe_sim, reward_terms, reads_outputs=True)
