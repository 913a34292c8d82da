"""Simulation of several episodes side by side: memory for it, and the kernel that steps it.

The kernel is compiled once, and kept in the cache. Kernels of rollouts call it by its address, under a name that LLVM knows.
"""

from typing import NamedTuple

import llvmlite.binding as llvm
from numba import types

from fastars._compiled.jit import address, addressed, inline
from fastars._compiled.protocol import register_lane_physics
from fastars._compiled.simd import LANES
from fastars._compiled.structs import IntArray, SimulationLanes
from fastars._compiled.tables import Tables
from fastars.physics import planar, spatial_joints, spatial_outputs  # noqa: F401  # say how the functions of `algebra` compile
from fastars.physics.integrators import forward, step
from fastars.physics.model import LaneModel
from fastars.physics.outputs import write_outputs
from fastars.physics.workspace import new_workspace, one_simulation

_NAMES = {3: "fastars_step_planar_lanes", 6: "fastars_step_spatial_lanes"}  # by the length of motion vectors


@addressed
def step_lanes(m, w, n_steps):
    """Step all lanes `n_steps` times; 0 computes forces and accelerations of the present state alone. Then write outputs."""
    w.bad[0] = 0.0
    for _ in range(n_steps):
        step(m, w)
    if n_steps == 0:
        forward(m, w)
    for lane in range(w.n_lanes[0]):
        if w.bad_of_lane[lane] > 0.0:
            w.is_bad[lane] = 1
    if w.n_outputs[0] > 0:
        write_outputs(m, w)
    return 0


class PlanarPhysics(NamedTuple):
    """Addresses of the arrays of a planar `LaneModel` and of a `Workspace`. They keep the arrays alive."""

    model: IntArray
    workspace: IntArray


class SpatialPhysics(NamedTuple):
    """The same for a model in space."""

    model: IntArray
    workspace: IntArray


_SIGNATURE = types.int64(types.intp, types.intp, types.int64)
_step_planar, _step_spatial = (types.ExternalFunction(_NAMES[width], _SIGNATURE) for width in (3, 6))


@inline
def _step_planar_lanes(lanes, n_steps):
    _step_planar(lanes.physics.model.ctypes.data, lanes.physics.workspace.ctypes.data, n_steps)


@inline
def _forward_planar_lanes(lanes):
    _step_planar(lanes.physics.model.ctypes.data, lanes.physics.workspace.ctypes.data, 0)


@inline
def _step_spatial_lanes(lanes, n_steps):
    _step_spatial(lanes.physics.model.ctypes.data, lanes.physics.workspace.ctypes.data, n_steps)


@inline
def _forward_spatial_lanes(lanes):
    _step_spatial(lanes.physics.model.ctypes.data, lanes.physics.workspace.ctypes.data, 0)


register_lane_physics(PlanarPhysics, _step_planar_lanes, _forward_planar_lanes)
register_lane_physics(SpatialPhysics, _step_spatial_lanes, _forward_spatial_lanes)


for _name in _NAMES.values():  # kernels that call it can be compiled before it is: `new_lanes` sets the address
    llvm.add_symbol(_name, 1)


def new_lanes(model: LaneModel, wants_outputs: bool) -> SimulationLanes:
    """Return memory of one thread for `LANES` simulations, each in the first state of the model.

    Parameters
    ----------
    model : LaneModel
        From `lane_model`.
    wants_outputs : bool
        True if `outputs` is read: it then has columns, which every step fills.
    """
    lanes, tables = memory_of_lanes(model, wants_outputs)
    llvm.add_symbol(_NAMES[model.gravity.shape[1]], address(step_lanes, *tables, 0))
    return lanes


def memory_of_lanes(model: LaneModel, wants_outputs: bool) -> tuple[SimulationLanes, tuple[Tables, Tables]]:
    """Return the memory of `new_lanes`, and the tables of `step_lanes` for it. Nothing is compiled."""
    workspace = new_workspace(model, LANES, wants_outputs)
    model_tables, tables = Tables(model), Tables(workspace, LANES)
    kind = {3: PlanarPhysics, 6: SpatialPhysics}[model.gravity.shape[1]]
    lanes = SimulationLanes(
        physics=kind(model_tables.addresses, tables.addresses),
        **{name: getattr(workspace, name) for name in ("qpos", "qvel", "ctrl", "qacc_warmstart", "is_bad")},
        outputs=workspace.outputs.reshape(LANES, -1),
        sim=one_simulation(model),
    )
    return lanes, (model_tables, tables)
