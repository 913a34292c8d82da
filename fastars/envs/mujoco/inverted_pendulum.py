"""InvertedPendulum-v4 and -v5, exact to Gymnasium's `InvertedPendulumEnv`."""

from typing import NamedTuple

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.simulated import register_rewarded
from fastars.envs.mujoco.physics import Physics, draw_uniform, put, state_entry
from fastars.kernels.episode import is_finite


class InvertedPendulum(NamedTuple):
    """Constants of InvertedPendulum."""

    physics: Physics
    reset_noise_scale: float = 0.01


@inline
def draw_state(env, sim, rng):
    draw_uniform(env.physics, sim, rng, env.reset_noise_scale)


@inline
def observe_sim(env, sim, observation):
    n = put(observation, 0, sim.qpos, -np.inf, np.inf)
    put(observation, n, sim.qvel, -np.inf, np.inf)


@inline
def reward_terms(env, sim, action, before):
    terminated = not (is_finite(sim.qpos) and is_finite(sim.qvel)) or abs(state_entry(sim, 1)) > 0.2
    # Version 4 gives this reward in the last step, too.
    survive = 0.0 if terminated and env.physics.version == 5 else 1.0
    return (survive,), survive, terminated


register_rewarded(InvertedPendulum, draw_state, observe_sim, reward_terms)
