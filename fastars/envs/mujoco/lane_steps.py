"""One step of the lanes from given states, for a comparison with `mj_step`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.envs.mujoco.agreement import FIELDS, Stepped, field_shapes
from fastars.kernels.inspection import step_simulations
from fastars.physics import new_lanes


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

    Also `cfrc_ext`, the last output, of a planar model whose capsules may touch each other: where their axes cross, MuJoCo has a
    force across the plane, which moves nothing and is not in the lanes.
    """
    has_crossings = lanes_model.offset.shape[1] == 2 and int(lanes_model.n_pairs) > 0
    return [*(["sensordata"] if model.nsensordata else []), "cinert", "cvel", *(["cfrc_ext"] if has_crossings else [])]
