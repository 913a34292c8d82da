"""Ant-v4 and -v5, exact to Gymnasium's `AntEnv`."""

from typing import NamedTuple

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.simulated import register_rewarded
from fastars.envs.mujoco.physics import Physics, clipped, draw_normal, put, square_sum, state_entry, survival_reward
from fastars.kernels.episode import is_finite


class Ant(NamedTuple):
    """Constants of Ant."""

    physics: Physics
    forward_reward_weight: float = 1.0  # version 5
    ctrl_cost_weight: float = 0.5
    contact_cost_weight: float = 5e-4
    healthy_reward: float = 1.0
    main_body: int = 1  # the body whose velocity is rewarded; version 4: the torso
    terminate_when_unhealthy: bool = True
    healthy_z_range: tuple[float, float] = (0.2, 1.0)  # m
    contact_force_range: tuple[float, float] = (-1.0, 1.0)  # N and N m
    reset_noise_scale: float = 0.1
    exclude_current_positions_from_observation: bool = True
    include_cfrc_ext_in_observation: bool = True  # version 5
    use_contact_forces: bool = False  # version 4: they are observed, and have a cost


@inline
def draw_state(env, sim, rng):
    draw_normal(env.physics, sim, rng, env.reset_noise_scale)


@inline
def observes_contact_forces(env):
    return env.use_contact_forces if env.physics.version == 4 else env.include_cfrc_ext_in_observation


@inline
def prices_contact_forces(env):
    return env.contact_cost_weight != 0.0 and (env.physics.version == 5 or env.use_contact_forces)


@inline
def needs_contact_forces(env):
    return observes_contact_forces(env) or prices_contact_forces(env)


@inline
def observe_sim(env, sim, observation):
    first = 2 if env.exclude_current_positions_from_observation else 0
    n = put(observation, 0, sim.qpos[first:], -np.inf, np.inf)
    n = put(observation, n, sim.qvel, -np.inf, np.inf)
    if observes_contact_forces(env):
        low, high = env.contact_force_range
        first_body = 0 if env.physics.version == 4 else 1  # body 0 is the world
        put(observation, n, sim.cfrc_ext[first_body:].ravel(), low, high)


@inline
def is_healthy(env, sim):
    """True if the torso is within its range of heights, and the state is finite."""
    low, high = env.healthy_z_range
    return is_finite(sim.qpos) and is_finite(sim.qvel) and low <= state_entry(sim, 2) <= high


@inline
def contact_cost(env, sim):
    if not prices_contact_forces(env):
        return 0.0
    low, high = env.contact_force_range
    return env.contact_cost_weight * square_sum(clipped(sim.cfrc_ext.ravel(), low, high))


@inline
def remember(env, sim, before):
    before[0] = sim.xpos[env.main_body, 0]


@inline
def reward_terms(env, sim, action, before):
    velocity = (sim.xpos[env.main_body, 0] - before[0]) / env.physics.dt
    healthy = is_healthy(env, sim)
    forward, survive = env.forward_reward_weight * velocity, survival_reward(env, healthy)
    control = np.float32(env.ctrl_cost_weight) * square_sum(action)  # float32 in Gymnasium
    contact = contact_cost(env, sim)
    reward = forward + survive - (control + contact)
    return (forward, -np.float64(control), -contact, survive), reward, env.terminate_when_unhealthy and not healthy


register_rewarded(
    Ant,
    draw_state,
    observe_sim,
    reward_terms,
    remember=remember,
    needs_contact_forces=needs_contact_forces,
    reads_outputs=True,
)
