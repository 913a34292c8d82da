"""One step of the lanes from given states, for a comparison with `mj_step`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.envs.mujoco.agreement import FIELDS, Stepped, field_shapes
from fastars.kernels.inspection import step_simulations
from fastars.physics import new_lanes
from fastars.physics.coordinates import ancestry, turn_at_zero
from fastars.physics.enums import PLANE
from fastars.physics.pairs import colliding_pairs

_DEPTH = 1e-12  # m; less is rounding
_PARALLEL = 1e-9  # of a cosine


def lane_steps(model: Any, lanes_model: Any, states: FloatArray) -> Stepped:
    """Take one step from each state (n, nq + 2 * nv + nu), in as many lanes as there are."""
    lanes = new_lanes(lanes_model, True)
    ends, n_lanes = np.cumsum([model.nq, model.nv, model.nu]), len(lanes.is_bad)
    rows, is_bad = [], []
    for first in range(0, len(states), n_lanes):
        batch = states[first : first + n_lanes]
        padded = np.concatenate([batch, np.repeat(batch[-1:], n_lanes - len(batch), axis=0)])
        for array, values in zip((lanes.qpos, lanes.qvel, lanes.ctrl, lanes.qacc_warmstart), np.split(padded.T, ends), strict=True):
            array[:] = values
        lanes.is_bad[:] = 0
        step_simulations(lanes, 1)
        results = np.concatenate([lanes.qpos.T, lanes.qvel.T, lanes.outputs], axis=1)
        rows.append(results[: len(batch)])
        is_bad.append(lanes.is_bad[: len(batch)] != 0)
    fields = FIELDS[:-1] if "cfrc_ext" in missing_fields(model, lanes_model) else FIELDS
    width = sum(math.prod(shape) for shape in field_shapes(model, fields).values())
    return Stepped(np.concatenate(rows)[:, :width], np.concatenate(is_bad), fields)


def missing_fields(model: Any, lanes_model: Any) -> list[str]:
    """Return the fields of a `Simulation` that lanes don't fill as MuJoCo does: those of sensors, `cinert` and `cvel`.

    Also `cfrc_ext`, the last output, of a model whose capsules may touch each other and only turn in one plane: where their axes
    cross, MuJoCo has a force across the plane, which moves nothing and is not in the lanes. And of a planar one that touches the
    floor beside the origins of its bodies: the lanes don't know how deep in the world a contact is, on which its moment depends.
    """
    is_planar = lanes_model.offset.shape[1] == 2
    is_partial = _has_crossings(model, is_planar) or (is_planar and _is_touched_beside(model, lanes_model))
    return [*(["sensordata"] if model.nsensordata else []), "cinert", "cvel", *(["cfrc_ext"] if is_partial else [])]


def _has_crossings(model: Any, is_planar: bool) -> bool:
    """Return True if two geoms that may touch move against each other in one plane alone."""
    pairs = [pair for pair in colliding_pairs(model) if PLANE not in model.geom_type[list(pair)]]
    return any(is_planar or _turns_in_a_plane(model, *sorted(model.geom_bodyid[list(pair)])) for pair in pairs)


def _turns_in_a_plane(model: Any, ancestor: int, body: int) -> bool:
    """Return True if the hinges between a body and its ancestor are parallel."""
    between = set(ancestry(model, body)) - set(ancestry(model, ancestor))
    joints = [joint for joint in range(model.njnt) if model.jnt_bodyid[joint] in between]
    axes = [turn_at_zero(model, model.jnt_bodyid[joint]) @ model.jnt_axis[joint] for joint in joints]
    return all(np.abs(axes[0] @ axis) > 1.0 - _PARALLEL for axis in axes[1:])


def _is_touched_beside(model: Any, lanes_model: Any) -> bool:
    """Return True if contacts with the floor are at other depths than the lanes take them at: `outputs.write_contact_forces`."""
    across = np.array([model.geom_pos[geom] @ lanes_model.axes[2] for pair in colliding_pairs(model) for geom in pair[1:]])
    depths = lanes_model.depth[lanes_model.contact_frame]
    at_floor = np.ptp(depths) if len(depths) and lanes_model.floor_body > 0 else 0.0
    return bool(np.any(np.abs(across) > _DEPTH) or at_floor > _DEPTH)
