"""HumanoidStandup-v4 and -v5, exact to Gymnasium's `HumanoidStandupEnv`: Humanoid with another reward, and no end."""

from typing import NamedTuple

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.simulated import register_rewarded
from fastars.envs.mujoco.humanoid import draw_state, observe_sim
from fastars.envs.mujoco.physics import Physics, between, square_sum


class HumanoidStandup(NamedTuple):
    """Constants of HumanoidStandup."""

    physics: Physics
    uph_cost_weight: float = 1.0  # has no effect, as in Gymnasium
    ctrl_cost_weight: float = 0.1
    impact_cost_weight: float = 0.5e-6
    impact_cost_range: tuple[float, float] = (-np.inf, 10.0)
    reset_noise_scale: float = 1e-2
    exclude_current_positions_from_observation: bool = True
    include_cinert_in_observation: bool = True
    include_cvel_in_observation: bool = True
    include_qfrc_actuator_in_observation: bool = True
    include_cfrc_ext_in_observation: bool = True


@inline
def needs_contact_forces(env):
    return env.include_cfrc_ext_in_observation or env.impact_cost_weight != 0.0


@inline
def reward_terms(env, sim, action, before):
    low, high = env.impact_cost_range
    impact_cost = between(env.impact_cost_weight * square_sum(sim.cfrc_ext.ravel()), low, high)
    control_cost = env.ctrl_cost_weight * square_sum(sim.ctrl)
    up = sim.qpos[2] / env.physics.timestep
    return (up, -control_cost, -impact_cost), up - control_cost - impact_cost + 1.0, False


register_rewarded(
    HumanoidStandup,
    draw_state,
    observe_sim,
    reward_terms,
    needs_contact_forces=needs_contact_forces,
    reads_outputs=True,
)
