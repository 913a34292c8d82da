"""Memory of one thread: the tables that the lanes' kernel writes, in the first state of a model."""

from typing import Any

import numpy as np

from fastars._compiled.structs import Simulation
from fastars._compiled.tables import aligned
from fastars.physics.model import ROWS_OF_CONTACT, LaneModel, Workspace

_CONTACTS_OF_PAIR = 5  # where its axes are nearest; at the four ends, of which each lane with parallel axes takes two


def n_outputs(model: LaneModel) -> int:
    """Return the number of outputs of a lane, see `SimulationLanes`."""
    # xpos, xquat, xipos, subtree_com and cfrc_ext; site_xpos; qacc and two forces
    return int((3 + 4 + 3 + 3 + 6) * model.n_frames + 3 * model.n_sites + 3 * model.n_dofs)


def new_workspace(model: LaneModel, n_lanes: int, wants_outputs: bool) -> Workspace:
    """Return the tables of one thread, in the first state of the model."""
    tables: dict[str, Any] = {name: aligned(*shape, n_lanes) for name, shape in _shapes(model).items()}
    rows = n_outputs(model) if wants_outputs else 0
    output, bad = aligned(rows, n_lanes), aligned(1, n_lanes)
    groups = int(model.n_contacts) + _CONTACTS_OF_PAIR * int(model.n_pairs)
    integers = {"counts": 3, "limit_dof": int(model.n_limits), "is_bad": n_lanes, "n_lanes": 1, "n_outputs": 1}
    integers |= dict.fromkeys(("group_body", "group_ancestor", "group_end", "group_frame", "group_other"), groups)
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
        *("qvel", "qacc_warmstart", "actuation", "smooth", "acceleration_of_dof", "step", "push", "gradient"),
        *("diagonal", "inverse_pivot", "constraint_force", "start_qvel", "rate", "stage_qvel", "sum_qvel", "sum_qacc"),
    )
    return {
        **{"ctrl": (int(model.n_controls),), "origin": (frames, d), "position": (frames, d)},
        **{"rotation": (frames, model.turn.shape[1]), "force": (frames, width)},
        **dict.fromkeys(("qpos", "forward_qpos", "start_qpos"), (positions,)),
        **dict.fromkeys(of_dofs, (dofs,)),
        **dict.fromkeys(vectors, (n, width)),
        **{"inertia": (n, {3: 4, 6: 10}[width]), "composite": (n, width * (width + 1) // 2)},
        **{"motion": (dofs, width), "reach": (dofs, width), "hessian": (dofs * dofs,)},
        **{"orientation": (frames, 4), "moment": (frames, 3)},
        **{"row_wrench": (rows, width)} | dict.fromkeys(("row_stiffness", "row_residual", "row_change"), (rows,)),
        **dict.fromkeys(("limit_sign", "limit_stiffness", "limit_residual", "limit_change"), (limits,)),
    }


def one_simulation(model: LaneModel) -> Simulation:
    """Return room for one lane, as environments see it. What lanes don't compute is NaN: nobody may take it for a number."""
    bodies, dofs = int(model.n_frames), int(model.n_dofs)
    return Simulation(
        model=0,
        data=0,
        frame=np.zeros(0, np.uint8),
        fault=np.zeros(1, np.int64),
        bad=np.zeros(4, np.int32),
        qpos=np.zeros(int(model.n_positions)),
        qvel=np.zeros(dofs),
        act=np.zeros(0),
        ctrl=np.zeros(int(model.n_controls)),
        qacc=np.zeros(dofs),
        xpos=np.zeros((bodies, 3)),
        xquat=np.zeros((bodies, 4)),
        xipos=np.zeros((bodies, 3)),
        site_xpos=np.zeros((int(model.n_sites), 3)),
        subtree_com=np.zeros((bodies, 3)),
        sensordata=np.full(int(model.n_sensor_numbers), np.nan),
        cinert=np.full((bodies, 10), np.nan),
        cvel=np.full((bodies, 6), np.nan),
        cfrc_ext=np.zeros((bodies, 6)),
        qfrc_actuator=np.zeros(dofs),
        qfrc_constraint=np.zeros(dofs),
    )
