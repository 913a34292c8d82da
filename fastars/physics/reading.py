"""Reads the fields of an MjModel into a `LaneModel`. `supported` says which models can be read; this file takes one that can."""

from typing import Any

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.physics.bodies import order_of, read_bodies
from fastars.physics.coordinates import Coordinates, coordinates_of
from fastars.physics.enums import FREE_JOINT, HINGE_JOINT, RUNGE_KUTTA
from fastars.physics.model import HINGE, SLIDE, SLIDE_OF_ROOT, TURN_OF_ROOT, LaneModel
from fastars.physics.reading_contacts import columns, impedance, mujoco_version, read_floor_contacts, read_pairs


def lane_model(mj_model: Any) -> LaneModel:
    """Return the arrays of a supported MjModel, with shared memory for threads that only read."""
    coordinates = coordinates_of(mj_model)
    tables: dict[str, Any] = {}
    for read in (_options, read_bodies, _dofs, _limits, read_floor_contacts, read_pairs, _controls_and_sites):
        tables |= read(mj_model, coordinates)
    return LaneModel(**{name: _array(tables[name]) for name in LaneModel._fields})


def _array(value: Any) -> Any:
    array = np.asarray(value)
    return np.ascontiguousarray(array, np.int64 if array.dtype.kind in "bi" else np.float64).reshape(array.shape)


def _options(model: Any, coordinates: Coordinates) -> dict[str, Any]:
    option = model.opt
    is_runge_kutta = int(option.integrator) == RUNGE_KUTTA
    has_damping = bool(np.any(_first(model.dof_damping, model.nv) > 0))
    is_version_4 = mujoco_version(model) >= (4, 0)
    return {
        **{"n_positions": model.nq, "n_dofs": model.nv, "n_controls": model.nu, "n_sites": model.nsite},
        **{"n_sensor_numbers": model.nsensordata},
        **{"axes": coordinates.axes, "gravity": coordinates.motion(-option.gravity)[None], "timestep": option.timestep},
        **{"is_runge_kutta": is_runge_kutta, "is_implicit": has_damping and not is_runge_kutta},
        **{"reports_mean": is_version_4, "bends_rates": is_version_4},  # measured: not in 3.3, 3.12, 3.14, 3.16 and 3.17
        **{"has_fluid": option.density > 0 or option.viscosity > 0, "density": option.density, "viscosity": option.viscosity},
        **{"max_iterations": int(option.iterations)},
    }


def _first(field: Any, count: int) -> FloatArray:
    """Return the first column of a field. Since 4.0, some fields hold a polynomial's coefficients per joint."""
    return np.reshape(field, (count, -1))[:, 0] if count else np.zeros(0)


def _dofs(model: Any, coordinates: Coordinates) -> dict[str, Any]:
    joint = np.array(model.dof_jntid)
    is_hinge = model.jnt_type[joint] == HINGE_JOINT
    is_root = model.body_parentid[model.dof_bodyid] == 0
    hinges_before = [np.any(is_hinge[model.body_dofadr[body] : dof]) for dof, body in enumerate(model.dof_bodyid)]
    slide = np.where(is_root & ~np.array(hinges_before, bool), SLIDE_OF_ROOT, SLIDE)
    is_turn = (model.jnt_type[joint] == FREE_JOINT) & (np.arange(model.nv) >= model.jnt_dofadr[joint] + 3)
    slide = np.where(is_turn, TURN_OF_ROOT, slide)
    return {
        **{"dof_parent": np.array(model.dof_parentid), "dof_kind": np.where(is_hinge, HINGE, slide)},
        **{"dof_position": np.array(model.jnt_qposadr)[joint]},
        **{"axis": coordinates.points(model.jnt_axis[joint]), "sign": np.sign(coordinates.depths(model.jnt_axis[joint]))},
        **{"anchor": coordinates.points(model.jnt_pos[joint]), "axis_in_space": np.array(model.jnt_axis[joint])},
        **{"armature": np.array(model.dof_armature), "damping": _first(model.dof_damping, model.nv)},
        **{"stiffness": _first(model.jnt_stiffness, model.njnt)[joint]},
        **{"spring_reference": np.array(model.qpos_spring)[model.jnt_qposadr[joint]], "initial": np.array(model.qpos0)},
    }


def _limits(model: Any, coordinates: Coordinates) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    is_limited = np.array(model.jnt_limited, bool) & (model.jnt_type != FREE_JOINT)  # a free joint has none, whatever it says
    for joint in np.flatnonzero(is_limited).tolist():
        dof = int(model.jnt_dofadr[joint])
        hardness = impedance(model, model.jnt_solref[joint], model.jnt_solimp[joint], float(model.dof_invweight0[dof]))
        rows.append({"dof": dof, "range": model.jnt_range[joint], "margin": model.jnt_margin[joint], "impedance": hardness})
    like = {"dof": 0, "range": [0.0, 0.0], "margin": 0.0, "impedance": [0.0] * 7}
    return {"n_limits": len(rows)} | columns("limit", rows, like)


def _controls_and_sites(model: Any, coordinates: Coordinates) -> dict[str, Any]:
    joint = np.array(model.actuator_trnid).reshape(-1, 2)[:, 0]
    is_limited = np.array(model.actuator_ctrllimited).astype(bool)[:, None]
    gear = _first(model.actuator_gear, model.nu)
    depth, places = read_bodies(model, coordinates)["depth"], order_of(model).places[model.site_bodyid]
    return {
        **{"control_dof": np.array(model.jnt_dofadr)[joint], "control_gain": gear * _first(model.actuator_gainprm, model.nu)},
        **{"control_range": np.where(is_limited, np.reshape(model.actuator_ctrlrange, (-1, 2)), (-np.inf, np.inf))},
        **{"site_frame": places, "site_offset": coordinates.points(model.site_pos)},
        **{"site_depth": depth[places] + coordinates.depths(model.site_pos)},
    }
