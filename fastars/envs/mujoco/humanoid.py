"""Humanoid-v4 and -v5, exact to Gymnasium's `HumanoidEnv`."""

from typing import NamedTuple

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.simulated import register_rewarded
from fastars.envs.mujoco.physics import Physics, between, draw_uniform, put, square_sum, survival_reward


class Humanoid(NamedTuple):
    """Constants of Humanoid."""

    physics: Physics
    forward_reward_weight: float = 1.25
    ctrl_cost_weight: float = 0.1
    contact_cost_weight: float = 5e-7  # version 5
    contact_cost_range: tuple[float, float] = (-np.inf, 10.0)  # version 5
    healthy_reward: float = 5.0
    terminate_when_unhealthy: bool = True
    healthy_z_range: tuple[float, float] = (1.0, 2.0)  # m
    reset_noise_scale: float = 1e-2
    exclude_current_positions_from_observation: bool = True
    include_cinert_in_observation: bool = True
    include_cvel_in_observation: bool = True
    include_qfrc_actuator_in_observation: bool = True
    include_cfrc_ext_in_observation: bool = True


@inline
def draw_state(env, sim, rng):
    draw_uniform(env.physics, sim, rng, env.reset_noise_scale)


@inline
def needs_contact_forces(env):
    return env.include_cfrc_ext_in_observation or env.contact_cost_weight != 0.0


@inline
def observe_sim(env, sim, observation):
    """Write the observation; version 4 also observes the world (body 0) and the six forces on the free joint."""
    first = 2 if env.exclude_current_positions_from_observation else 0
    first_body, first_force = (0, 0) if env.physics.version == 4 else (1, 6)
    n = put(observation, 0, sim.qpos[first:], -np.inf, np.inf)
    n = put(observation, n, sim.qvel, -np.inf, np.inf)
    if env.include_cinert_in_observation:
        n = put(observation, n, sim.cinert[first_body:].ravel(), -np.inf, np.inf)
    if env.include_cvel_in_observation:
        n = put(observation, n, sim.cvel[first_body:].ravel(), -np.inf, np.inf)
    if env.include_qfrc_actuator_in_observation:
        n = put(observation, n, sim.qfrc_actuator[first_force:], -np.inf, np.inf)
    if env.include_cfrc_ext_in_observation:
        put(observation, n, sim.cfrc_ext[first_body:].ravel(), -np.inf, np.inf)


@inline
def mass_center_x(physics, sim):
    """Return the position of the centre of mass, summed from the first body on, as `np.einsum` does."""
    moment = 0.0
    for body in range(physics.body_mass.shape[0]):
        moment += physics.body_mass[body] * sim.xipos[body, 0]
    return moment / physics.total_mass


@inline
def contact_cost(env, sim):
    if env.physics.version == 4:
        return 0.0
    low, high = env.contact_cost_range
    return between(env.contact_cost_weight * square_sum(sim.cfrc_ext.ravel()), low, high)


@inline
def remember(env, sim, before):
    before[0] = mass_center_x(env.physics, sim)


@inline
def reward_terms(env, sim, action, before):
    velocity = (mass_center_x(env.physics, sim) - before[0]) / env.physics.dt
    z, (low, high) = sim.qpos[2], env.healthy_z_range
    healthy = low < z < high
    forward, survive = env.forward_reward_weight * velocity, survival_reward(env, healthy)
    control, contact = env.ctrl_cost_weight * square_sum(sim.ctrl), contact_cost(env, sim)  # float64, as `data.ctrl` is
    reward = forward + survive - (control + contact)
    return (survive, forward, -control, -contact), reward, env.terminate_when_unhealthy and not healthy


register_rewarded(
    Humanoid,
    draw_state,
    observe_sim,
    reward_terms,
    remember=remember,
    needs_contact_forces=needs_contact_forces,
    reads_outputs=True,
)
