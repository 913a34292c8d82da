"""MuJoCo's C functions as kernels call them, and the arrays of an MjData that they work on."""

from typing import Any

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.simulator import register_simulator
from fastars._compiled.structs import FAILED, UNSTABLE, Simulation
from fastars.envs.mujoco.guard import FUNCTIONS, JUMP_BYTES, declared
from fastars.envs.mujoco.handlers import TEXT_BYTES
from fastars.envs.mujoco.library import mujoco

mj_resetData, mj_forward, mj_step, mj_rnePostConstraint = map(declared, FUNCTIONS)  # noqa: N816 - MuJoCo's names


def new_simulation(model: Any) -> Simulation:
    """Return a simulation of `model` for one thread. Its arrays keep its MjData alive; the caller keeps the model."""
    return simulation_of(model, mujoco.MjData(model))


def simulation_of(model: Any, data: Any) -> Simulation:
    """Return the arrays of an MjData, as kernels see them."""
    arrays = {name: getattr(data, name) for name in Simulation._fields if hasattr(data, name)}
    ours = {
        "model": model._address,
        "data": data._address,
        "frame": np.zeros(JUMP_BYTES + TEXT_BYTES, np.uint8),
        "fault": np.zeros(1, np.int64),
        "bad": data.warning.number[int(mujoco.mjtWarning.mjWARN_BADQPOS) : int(mujoco.mjtWarning.mjWARN_BADCTRL) + 1],
    }
    return Simulation(**{**arrays, **ours})


def failure(sim: Simulation) -> str:
    """Return MuJoCo's text about the error that ended a simulation."""
    return bytes(sim.frame[JUMP_BYTES:]).split(b"\0")[0].decode(errors="replace")


@inline
def reset_data(sim):
    """Put the simulation into the state it was made in."""
    mj_resetData(sim.model, sim.data, 1, sim.frame.ctypes.data)
    sim.fault[0] = 0


@inline
def forward(sim):
    """Compute everything that follows from positions and velocities, as Gymnasium's `set_state` does."""
    if mj_forward(sim.model, sim.data, 1, sim.frame.ctypes.data):
        sim.fault[0] = FAILED


@inline
def simulate(sim, action, n_steps, with_contact_forces):
    """Take `n_steps` steps under `action`; `sim.fault` becomes FAILED or UNSTABLE if MuJoCo fails or finds bad numbers."""
    for k in range(action.shape[0]):
        sim.ctrl[k] = action[k]
    frame = sim.frame.ctypes.data
    failed = mj_step(sim.model, sim.data, n_steps, frame)
    if with_contact_forces and not failed:  # it only computes `cfrc_ext` and the like: Ant is 0.3 % faster without it
        failed = mj_rnePostConstraint(sim.model, sim.data, 1, frame)
    if failed:
        sim.fault[0] = FAILED
    # Bad numbers in qpos, qvel, qacc or ctrl. MuJoCo has put the simulation into its first state, where Gymnasium goes on.
    elif sim.bad[0] + sim.bad[1] + sim.bad[2] + sim.bad[3] > 0:
        sim.fault[0] = UNSTABLE


register_simulator(Simulation, reset_data, forward, simulate)
