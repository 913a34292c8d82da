"""Simulation of several episodes side by side: memory for it, and the kernel that steps it.

The kernel is compiled once, and kept in the cache. Kernels of rollouts call it by its address, under a name that LLVM knows.
"""

from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np
from numba import types

from fastars._compiled.jit import address, addressed, inline
from fastars._compiled.protocol import register_lane_physics
from fastars._compiled.simd import LANES
from fastars._compiled.structs import FloatArray, IntArray, Simulation, SimulationLanes
from fastars._compiled.tables import Tables, aligned
from fastars.physics import planar, spatial_joints  # noqa: F401  # say how the functions of `algebra` compile
from fastars.physics.integrators import forward, step
from fastars.physics.model import ROWS_OF_CONTACT, LaneModel, Workspace
from fastars.physics.outputs import write_outputs

_CONTACTS_OF_PAIR = 5  # where its axes are nearest; at the four ends, of which each lane with parallel axes takes two
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


def new_lanes(model: LaneModel, wants_outputs: bool) -> SimulationLanes:
    """Return memory of one thread for `LANES` simulations, each in the first state of the model.

    Parameters
    ----------
    model : LaneModel
        From `lane_model`.
    wants_outputs : bool
        True if `outputs` is read: it then has columns, which every step fills.
    """
    workspace = new_workspace(model, LANES, wants_outputs)
    model_tables, tables = Tables(model), Tables(workspace, LANES)
    width = model.gravity.shape[1]
    kind = {3: PlanarPhysics, 6: SpatialPhysics}[width]
    llvm.add_symbol(_NAMES[width], address(step_lanes, model_tables, tables, 0))
    return SimulationLanes(
        physics=kind(model_tables.addresses, tables.addresses),
        **{name: getattr(workspace, name) for name in ("qpos", "qvel", "ctrl", "qacc_warmstart", "is_bad")},
        outputs=workspace.outputs.reshape(LANES, -1),
        sim=_one_simulation(model),
    )


def n_outputs(model: LaneModel) -> int:
    """Return the number of outputs of a lane, see `SimulationLanes`."""
    return int(19 * model.n_frames + 3 * model.n_sites + 3 * model.n_dofs)


def new_workspace(model: LaneModel, n_lanes: int, wants_outputs: bool) -> Workspace:
    """Return the tables of one thread, in the first state of the model."""
    tables: dict[str, Any] = {name: aligned(*shape, n_lanes) for name, shape in _shapes(model).items()}
    rows = n_outputs(model) if wants_outputs else 0
    output, bad = aligned(rows, n_lanes), aligned(1, n_lanes)
    groups, limits = int(model.n_contacts) + _CONTACTS_OF_PAIR * int(model.n_pairs), int(model.n_limits)
    integers = {
        **{
            "counts": 3,
            "group_body": groups,
            "group_ancestor": groups,
            "group_end": groups,
            "group_frame": groups,
            "group_other": groups,
            "active_limit": limits,
        },
        **{"is_bad": n_lanes, "n_lanes": 1, "n_outputs": 1},
    }
    tables |= {name: np.zeros(count, np.int64) for name, count in integers.items()}
    tables |= {"output": output, "output_of_lane": output.reshape(-1), "outputs": np.zeros(n_lanes * rows)}
    workspace = Workspace(**tables, bad=bad, bad_of_lane=bad.reshape(-1))
    workspace.n_lanes[0], workspace.n_outputs[0] = n_lanes, rows
    workspace.qpos[:] = model.initial[:, None]
    # The world's rows of tables, which no kernel writes.
    workspace.rotation[0] = model.turn[0][:, None]
    workspace.orientation[0] = model.quaternion[0][:, None]
    workspace.bias_acceleration[0] = model.gravity[0][:, None]
    return workspace


def _shapes(model: LaneModel) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tables of numbers in lanes, without their last axis."""
    n, frames = int(model.n_bodies), int(model.n_frames)
    dofs, positions, limits = (int(size) for size in (model.n_dofs, model.n_positions, model.n_limits))
    d, width = model.offset.shape[1], model.gravity.shape[1]
    rows = int(model.n_contacts) * ROWS_OF_CONTACT[d] + _CONTACTS_OF_PAIR * int(model.n_pairs)
    vectors = ("velocity", "bias_acceleration", "acceleration", "step_acceleration")
    of_dofs = (
        *("qvel", "qacc_warmstart", "actuation", "smooth", "acceleration_of_dof", "step", "push", "gradient", "inverse_pivot"),
        *("constraint_force", "start_qvel", "rate", "stage_qvel", "sum_qvel", "sum_qacc"),
    )
    return {
        **{"ctrl": (int(model.n_controls),), "origin": (frames, d), "position": (frames, d)},
        **{"rotation": (frames, model.turn.shape[1]), "force": (frames, width)},
        **dict.fromkeys(("qpos", "forward_qpos", "start_qpos"), (positions,)),
        **dict.fromkeys(of_dofs, (dofs,)),
        **dict.fromkeys(vectors, (n, width)),
        **{"inertia": (n, {3: 4, 6: 10}[width]), "composite": (n, width * (width + 1) // 2)},
        **{
            "motion": (dofs, width),
            "reach": (dofs, width),
            "hessian": (dofs * dofs,),
            "orientation": (frames, 4),
            "moment": (frames, 3),
        },
        **{"row_wrench": (rows, width)} | dict.fromkeys(("row_stiffness", "row_residual", "row_change"), (rows,)),
        **dict.fromkeys(("limit_sign", "limit_weight", "limit_residual", "limit_change"), (limits,)),
    }


def _one_simulation(model: LaneModel) -> Simulation:
    """Return room for one lane, as environments see it. What lanes don't compute is empty."""
    n, dofs, floats = int(model.n_frames), int(model.n_dofs), np.zeros
    empty: FloatArray = floats(0)
    return Simulation(
        **{"model": 0, "data": 0, "frame": np.zeros(0, np.uint8), "fault": np.zeros(1, np.int64), "bad": np.zeros(4, np.int32)},
        **{"qpos": floats(int(model.n_positions)), "qvel": floats(dofs), "act": empty, "ctrl": floats(int(model.n_controls))},
        **{"qacc": floats(dofs), "xpos": floats((n, 3)), "xquat": floats((n, 4)), "xipos": floats((n, 3))},
        **{"site_xpos": floats((int(model.n_sites), 3)), "subtree_com": floats((n, 3)), "sensordata": empty},
        **{"cinert": floats((0, 10)), "cvel": floats((0, 6)), "cfrc_ext": floats((n, 6))},
        **{"qfrc_actuator": floats(dofs), "qfrc_constraint": floats(dofs)},
    )
