"""A physics over lanes whose lanes are MuJoCo's own: each has an MjData, which `mj_step` steps.

Rollouts over it must have the bits of rollouts that step one MjData after the other.
"""

from typing import Any, NamedTuple

import mujoco
import numpy as np

from fastars._compiled.jit import inline, routine
from fastars._compiled.protocol import register_lane_physics
from fastars._compiled.structs import Simulation, SimulationLanes
from fastars.envs.mujoco.capi import mj_forward, mj_rnePostConstraint, mj_step, simulation_of
from fastars.kernels.vector_simulated import array_at, simulation

N_LANES = 8
BAD = Simulation._fields.index("bad")
OUTPUTS = ("xpos", "xquat", "xipos", "site_xpos", "subtree_com", "qacc", "qfrc_actuator", "qfrc_constraint", "cfrc_ext")
NO_OUTPUTS = ("act", "sensordata", "cinert", "cvel")


class MujocoLanes(NamedTuple):
    """Addresses of MuJoCo's arrays, a row per lane."""

    addresses: Any  # (n_lanes, 21), int64: of the fields of each lane's Simulation
    warmstarts: Any  # (n_lanes,), int64
    like: Any  # one Simulation
    like_warnings: Any  # (4, 2), int32: MuJoCo's pairs of (last information, number); `Simulation.bad` is a view of the second


_alive = []  # MjData whose addresses lanes hold


def new_mujoco_lanes(model, wants_outputs):
    """Return lanes of which each has an MjData."""
    data = [mujoco.MjData(model) for _ in range(N_LANES)]
    sims = [simulation_of(model, one) for one in data]
    _alive.extend((model, data, sims))
    addresses = [[value if isinstance(value, int) else value.ctypes.data for value in sim] for sim in sims]
    warmstarts = np.array([one.qacc_warmstart.ctypes.data for one in data])
    n_outputs = sum(getattr(sims[0], name).size for name in OUTPUTS) if wants_outputs else 0
    return SimulationLanes(
        physics=MujocoLanes(np.array(addresses), warmstarts, sims[0], np.zeros((4, 2), np.int32)),
        qpos=np.zeros((model.nq, N_LANES)),
        qvel=np.zeros((model.nv, N_LANES)),
        ctrl=np.zeros((model.nu, N_LANES)),
        qacc_warmstart=np.zeros((model.nv, N_LANES)),
        is_bad=np.zeros(N_LANES, np.int64),
        outputs=np.full((N_LANES, n_outputs), np.nan),
        sim=one_lane(sims[0]),
    )


def one_lane(sim):
    """Return room for one lane: arrays like those of an MjData, without memory of MuJoCo's; empty what lanes don't have."""
    arrays = {name: np.full_like(value, 0) for name, value in sim._asdict().items() if isinstance(value, np.ndarray)}
    empty = {name: np.zeros((0, *arrays[name].shape[1:])) for name in NO_OUTPUTS}
    return Simulation(**{"model": 0, "data": 0, **arrays, **empty})


@routine
def step(lanes, n_steps):
    for lane in range(N_LANES):
        sim = read_from(lanes, lane)
        mj_step(sim.model, sim.data, n_steps, sim.frame.ctypes.data)
        if warnings_of(lanes, lane)[:, 1].sum() > 0:
            lanes.is_bad[lane] = 1
        write_to(lanes, lane, sim)


@routine
def forward(lanes):
    for lane in range(N_LANES):
        sim = read_from(lanes, lane)
        mj_forward(sim.model, sim.data, 1, sim.frame.ctypes.data)
        write_to(lanes, lane, sim)


@inline
def read_from(lanes, lane):
    sim = simulation(lanes.physics, lane)
    warmstart = array_at(lanes.physics.warmstarts[lane], sim.qvel)
    sim.qpos[:], sim.qvel[:], sim.ctrl[:] = lanes.qpos[:, lane], lanes.qvel[:, lane], lanes.ctrl[:, lane]
    warmstart[:] = lanes.qacc_warmstart[:, lane]
    warnings_of(lanes, lane)[:] = 0
    return sim


@inline
def warnings_of(lanes, lane):
    """Return the pairs (last information, number) of MuJoCo's warnings of bad numbers."""
    return array_at(lanes.physics.addresses[lane, BAD] - 4, lanes.physics.like_warnings)


@inline
def write_to(lanes, lane, sim):
    lanes.qpos[:, lane], lanes.qvel[:, lane], lanes.ctrl[:, lane] = sim.qpos, sim.qvel, sim.ctrl
    lanes.qacc_warmstart[:, lane] = array_at(lanes.physics.warmstarts[lane], sim.qvel)
    if lanes.outputs.shape[1] > 0:
        mj_rnePostConstraint(sim.model, sim.data, 1, sim.frame.ctypes.data)
        n = write_output(lanes, lane, 0, sim.xpos)
        n = write_output(lanes, lane, n, sim.xquat)
        n = write_output(lanes, lane, n, sim.xipos)
        n = write_output(lanes, lane, n, sim.site_xpos)
        n = write_output(lanes, lane, n, sim.subtree_com)
        n = write_output(lanes, lane, n, sim.qacc)
        n = write_output(lanes, lane, n, sim.qfrc_actuator)
        n = write_output(lanes, lane, n, sim.qfrc_constraint)
        write_output(lanes, lane, n, sim.cfrc_ext)


@inline
def write_output(lanes, lane, start, values):
    lanes.outputs[lane, start : start + values.size] = values.ravel()
    return start + values.size


register_lane_physics(MujocoLanes, step, forward)
