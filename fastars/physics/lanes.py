"""Simulation of several episodes side by side: memory for it, and its kernels."""

from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.jit import addressed
from fastars._compiled.simd import LANES
from fastars._compiled.structs import IntArray
from fastars._compiled.tables import Tables, aligned
from fastars.physics import planar, spatial_joints  # noqa: F401  # registers how the functions of `algebra` compile
from fastars.physics.integrators import forward, step
from fastars.physics.model import ROWS_OF_CONTACT, LaneModel, Workspace

_CONTACTS_OF_PAIR = 5  # one where axes are nearest; of the four that parallel axes are tried for, at most two


@addressed
def step_lanes(m, w, n_steps):
    """Step all lanes `n_steps` times; 0 computes the forces and accelerations of the present state alone. Returns 0."""
    w.bad[0] = 0.0
    for _ in range(n_steps):
        step(m, w)
    if n_steps == 0:
        forward(m, w)
    for lane in range(w.n_lanes[0]):
        if w.bad_of_lane[lane] > 0.0:
            w.is_bad[lane] = 1
    return 0


def new_workspace(model: LaneModel, n_lanes: int = LANES) -> Workspace:
    """Return the tables of one thread; its state is the first state of the model."""
    n, dofs, positions = int(model.n_bodies), int(model.n_dofs), int(model.n_positions)
    limits, contacts = int(model.n_limits), int(model.n_contacts)
    d, width = model.offset.shape[1], model.gravity.shape[1]
    groups = contacts + _CONTACTS_OF_PAIR * int(model.n_pairs)
    rows = contacts * ROWS_OF_CONTACT[d] + _CONTACTS_OF_PAIR * int(model.n_pairs)
    bad = aligned(1, n_lanes)
    shapes = {
        **{"qpos": (positions,), "qvel": (dofs,), "ctrl": (int(model.n_controls),), "qacc_warmstart": (dofs,)},
        **{"origin": (n, d), "position": (n, d), "rotation": (n, model.turn.shape[1])},
        **dict.fromkeys(("velocity", "bias_acceleration", "acceleration", "step_acceleration", "force"), (n, width)),
        **{"inertia": (n, {3: 4, 6: 10}[width]), "composite": (n, width * (width + 1) // 2), "motion": (dofs, width)},
        **dict.fromkeys(("actuation", "smooth", "acceleration_of_dof", "step", "gradient", "inverse_pivot"), (dofs,)),
        **{"hessian": (dofs * dofs,), "row_wrench": (rows, width)},
        **dict.fromkeys(("row_stiffness", "row_residual", "row_change"), (rows,)),
        **dict.fromkeys(("limit_sign", "limit_weight", "limit_residual", "limit_change"), (limits,)),
        **dict.fromkeys(("start_qvel", "rate", "stage_qvel", "sum_qvel", "sum_qacc"), (dofs,)),
        **{"start_qpos": (positions,)},
    }
    integers = {
        **{"counts": 3, "group_body": groups, "group_ancestor": groups, "group_end": groups, "active_limit": limits},
        **{"is_bad": n_lanes, "n_lanes": 1},
    }
    tables: dict[str, Any] = {name: aligned(*shape, n_lanes) for name, shape in shapes.items()}
    tables |= {name: np.zeros(count, np.int64) for name, count in integers.items()}
    tables |= {"bad": bad, "bad_of_lane": bad.reshape(n_lanes), "outputs": np.zeros(0)}
    workspace = Workspace(**tables)
    workspace.n_lanes[0] = n_lanes
    workspace.qpos[:] = model.initial[:, None]
    workspace.rotation[0] = model.turn[0][:, None]
    workspace.bias_acceleration[0] = model.gravity[0][:, None]
    return workspace
