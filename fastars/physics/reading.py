"""Reads the fields of an MjModel into a `LaneModel`. `supported` says which models can be read; this file takes one that can.

Rules about fields are from MuJoCo's documentation: "Computation" for contacts and impedances, "Modeling" for the mixing of geoms.
"""

import re
import sys
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.physics.bodies import order_of, read_bodies
from fastars.physics.frames import Frame, frame_of, rotation_matrix
from fastars.physics.model import HINGE, SLIDE, SLIDE_OF_ROOT, TURN_OF_ROOT, LaneModel

_PLANE, _SPHERE, _CAPSULE = 0, 2, 3  # mjtGeom
_FREE_JOINT, _HINGE_JOINT = 0, 3  # mjtJoint
_RK4 = 1  # mjtIntegrator
_SMALLEST = 1e-15  # mjMINVAL
_NO_EULER_DAMPING = 1 << 15  # mjDSBL_EULERDAMP


def lane_model(mj_model: Any) -> LaneModel:
    """Return the arrays of a supported MjModel, with shared memory for threads that only read."""
    plane = frame_of(mj_model)
    tables: dict[str, Any] = {}
    for read in (_options, read_bodies, _dofs, _limits, _floor_contacts, _pairs, _controls_and_sites):
        tables |= read(mj_model, plane)
    return LaneModel(**{name: _array(tables[name]) for name in LaneModel._fields})


def _array(value: Any) -> Any:
    array = np.asarray(value)
    return np.ascontiguousarray(array, np.int64 if array.dtype.kind in "bi" else np.float64).reshape(array.shape)


def _options(model: Any, plane: Frame) -> dict[str, Any]:
    option = model.opt
    is_runge_kutta = int(option.integrator) == _RK4
    has_damping = bool(np.any(_first(model.dof_damping, model.nv) > 0)) and not int(option.disableflags) & _NO_EULER_DAMPING
    is_version_4 = mujoco_version(model) >= (4, 0)
    return {
        **{"n_positions": model.nq, "n_dofs": model.nv, "n_controls": model.nu, "n_sites": model.nsite},
        **{"axes": plane.axes, "gravity": plane.motion(-option.gravity)[None], "timestep": option.timestep},
        **{"is_runge_kutta": is_runge_kutta, "is_implicit": has_damping and not is_runge_kutta},
        **{"reports_mean": is_version_4, "bends_rates": is_version_4},  # measured: not in 3.3, 3.12, 3.14, 3.16 and 3.17
        **{"has_fluid": option.density > 0 or option.viscosity > 0, "density": option.density, "viscosity": option.viscosity},
        **{"max_iterations": int(option.iterations)},
    }


def _first(field: Any, count: int) -> FloatArray:
    """Return the first column of a field. Since 4.0, some fields hold a polynomial's coefficients per joint."""
    return np.reshape(field, (count, -1))[:, 0] if count else np.zeros(0)


def _dofs(model: Any, plane: Frame) -> dict[str, Any]:
    joint = np.array(model.dof_jntid)
    is_hinge = model.jnt_type[joint] == _HINGE_JOINT
    is_root = model.body_parentid[model.dof_bodyid] == 0
    hinges_before = [np.any(is_hinge[model.body_dofadr[body] : dof]) for dof, body in enumerate(model.dof_bodyid)]
    slide = np.where(is_root & ~np.array(hinges_before, bool), SLIDE_OF_ROOT, SLIDE)
    is_turn = (model.jnt_type[joint] == _FREE_JOINT) & (np.arange(model.nv) >= model.jnt_dofadr[joint] + 3)
    slide = np.where(is_turn, TURN_OF_ROOT, slide)
    return {
        **{"dof_body": order_of(model).places[model.dof_bodyid], "dof_parent": np.array(model.dof_parentid)},
        **{"dof_kind": np.where(is_hinge, HINGE, slide), "dof_position": np.array(model.jnt_qposadr)[joint]},
        **{"axis": plane.points(model.jnt_axis[joint]), "sign": np.sign(plane.depths(model.jnt_axis[joint]))},
        **{"anchor": plane.points(model.jnt_pos[joint]), "axis_in_space": np.array(model.jnt_axis[joint])},
        **{"armature": np.array(model.dof_armature), "damping": _first(model.dof_damping, model.nv)},
        **{"stiffness": _first(model.jnt_stiffness, model.njnt)[joint]},
        **{"spring_reference": np.array(model.qpos_spring)[model.jnt_qposadr[joint]], "initial": np.array(model.qpos0)},
    }


def _limits(model: Any, plane: Frame) -> dict[str, Any]:
    joints = [joint for joint in range(model.njnt) if model.jnt_limited[joint]]
    dofs = [int(model.jnt_dofadr[joint]) for joint in joints]
    impedances = [
        impedance(model, model.jnt_solref[joint], model.jnt_solimp[joint], model.dof_invweight0[dof])
        for joint, dof in zip(joints, dofs, strict=True)
    ]
    return {
        **{"n_limits": len(joints), "limit_dof": np.array(dofs, np.int64), "limit_margin": np.array(model.jnt_margin)[joints]},
        **{"limit_range": np.array(model.jnt_range).reshape(-1, 2)[joints], "limit_impedance": _rows(impedances, 7)},
    }


def impedance(model: Any, reference: Any, impedances: Any, inverse_weight: float) -> list[float]:
    """Return (K, B, d0, d_width, width, midpoint, inverse weight) for MuJoCo's `solref` and `solimp`."""
    low, high = np.clip(impedances[:2], 1e-4, 0.9999)
    width, midpoint = max(0.0, float(impedances[2])), float(np.clip(impedances[3], 1e-4, 0.9999))
    time, damping = float(reference[0]), float(reference[1])
    if time > 0:  # a time constant, which must not be below two steps ("refsafe"), and a damping ratio
        time = max(time, 2.0 * model.opt.timestep)
        spring = 1.0 / max(_SMALLEST, high * high * time * time * damping * damping)
        damper = 2.0 / max(_SMALLEST, high * time)
    else:  # minus stiffness, minus damping
        spring, damper = -time / max(_SMALLEST, high * high), -damping / max(_SMALLEST, high)
    return [spring, damper, low, high, width, midpoint, float(inverse_weight)]


class _Mixed(NamedTuple):
    """Parameters of the contacts of two geoms."""

    dimension: int
    friction: float
    margin: float
    reference: FloatArray
    impedances: FloatArray


def _mixed(model: Any, first: int, second: int) -> _Mixed:
    """Combine the parameters of two geoms: those of the higher priority, or a mean by `solmix`, the larger friction and condim."""
    geoms = [first, second]
    margins, gaps = model.geom_margin[geoms], model.geom_gap[geoms]
    version = mujoco_version(model)
    margin, gap = (margins.sum(), gaps.sum()) if version >= (3, 5) else (margins.max(), gaps.max())
    margin = margin if version >= (3, 9) else margin - gap  # since 3.9, forces begin at the margin
    priorities = model.geom_priority[geoms]
    if priorities[0] != priorities[1]:
        geoms = [geoms[int(priorities[1] > priorities[0])]] * 2
    weights = np.where(model.geom_solmix[geoms] >= _SMALLEST, model.geom_solmix[geoms], 0.0)
    mix = weights[0] / weights.sum() if weights.sum() else 0.5
    references, impedances = model.geom_solref[geoms], model.geom_solimp[geoms]
    are_times = np.all(references[:, 0] > 0)
    return _Mixed(
        dimension=int(model.geom_condim[geoms].max()),
        friction=max(1e-5, float(model.geom_friction[geoms, 0].max())),
        margin=float(margin),
        reference=mix * references[0] + (1 - mix) * references[1] if are_times else references.min(axis=0),
        impedances=mix * impedances[0] + (1 - mix) * impedances[1],
    )


def mujoco_version(model: Any) -> tuple[int, ...]:
    """Return the version of the mujoco package that a model belongs to: (major, minor)."""
    package = sys.modules[type(model).__module__.partition(".")[0]]
    return tuple(int(number) for number in re.findall(r"\d+", package.mj_versionString())[:2])


def may_touch(model: Any, first: int, second: int) -> bool:
    """Return True if MuJoCo looks for contacts of two geoms: "Collision detection, selection" in its documentation."""
    bodies = [int(model.geom_bodyid[first]), int(model.geom_bodyid[second])]
    welds = [int(model.body_weldid[body]) for body in bodies]
    parents = [int(model.body_weldid[model.body_parentid[weld]]) for weld in welds]
    is_child = all(welds) and (welds[0] == parents[1] or welds[1] == parents[0])
    masks = [(int(model.geom_contype[g]), int(model.geom_conaffinity[g])) for g in (first, second)]
    signature = (min(bodies) << 16) + max(bodies)
    return (
        welds[0] != welds[1]
        and not is_child
        and bool(masks[0][0] & masks[1][1] or masks[1][0] & masks[0][1])
        and signature not in np.ravel(model.exclude_signature).tolist()
    )


def _floor_contacts(model: Any, plane: Frame) -> dict[str, Any]:
    rows: list[tuple[Any, ...]] = []
    floor_body, order = 0, order_of(model)
    for floor in np.flatnonzero(model.geom_type == _PLANE).tolist():
        height = plane.height(model, floor)
        for geom in range(model.ngeom):
            if model.geom_type[geom] == _PLANE or not may_touch(model, floor, geom):
                continue
            number, mixed = int(model.geom_bodyid[geom]), _mixed(model, floor, geom)
            floor_body, body, frame = int(model.geom_bodyid[floor]), order.body(number), int(order.places[number])
            weight = float(model.body_invweight0[number, 0])
            is_pyramid = mixed.dimension > 1
            softness = 2.0 * mixed.friction**2 / max(_SMALLEST, float(model.opt.impratio)) if is_pyramid else 1.0
            weight = weight + mixed.friction**2 * weight if is_pyramid else weight
            axis = rotation_matrix(model.geom_quat[geom])[:, 2]
            is_capsule = model.geom_type[geom] == _CAPSULE
            for end in (1.0, -1.0) if is_capsule else (0.0,):
                point = order.in_body(number, model.geom_pos[geom] + end * model.geom_size[geom, 1] * axis)
                impedances = impedance(model, mixed.reference, mixed.impedances, weight)
                friction = mixed.friction if is_pyramid else 0.0
                direction = plane.points(order.turned(number, axis if is_capsule else 0.0 * axis))
                radius = model.geom_size[geom, 0]
                rows.append(
                    (body, frame, plane.points(point), direction, radius, height, mixed.margin, friction, softness, impedances)
                )
    names = ("body", "frame", "point", "axis", "radius", "floor", "margin", "friction", "softness", "impedance")
    return {"n_contacts": len(rows), "floor_body": floor_body} | _columns(
        "contact", names, rows, {"point": plane.d, "axis": plane.d, "impedance": 7}
    )


def _pairs(model: Any, plane: Frame) -> dict[str, Any]:
    rows: list[tuple[Any, ...]] = []
    for geom1 in range(model.ngeom):
        for geom2 in range(geom1 + 1, model.ngeom):
            if _PLANE not in model.geom_type[[geom1, geom2]] and may_touch(model, geom1, geom2):
                rows.append(_pair(model, plane, *sorted((geom1, geom2), key=lambda geom: int(model.geom_bodyid[geom]))))
    names = (
        *("bodies", "frames", "centre1", "half1", "radius1", "centre2", "half2", "radius2"),
        *("is_sphere1", "is_sphere2", "reach", "margin", "impedance"),
    )
    widths = {"bodies": 2, "frames": 2, "centre1": plane.d, "half1": plane.d, "centre2": plane.d, "half2": plane.d, "impedance": 7}
    is_new = mujoco_version(model) >= (3, 16)
    parallel = {
        **{"parallel_absolute": 0.0 if is_new else _SMALLEST, "parallel_relative": 1e-8 if is_new else 0.0},
        **{"tries_four_ends": mujoco_version(model) < (3, 17)},
    }
    return {"n_pairs": len(rows)} | parallel | _columns("pair", names, rows, widths)


def _pair(model: Any, plane: Frame, geom1: int, geom2: int) -> tuple[Any, ...]:
    """Return the row of two geoms that may touch; the ancestor's comes first, as its body has the smaller number."""
    mixed, order = _mixed(model, geom1, geom2), order_of(model)
    numbers: list[int] = []
    geometry: list[Any] = []
    spheres, reach = [], 0.0
    for geom in (geom1, geom2):
        radius, is_sphere = float(model.geom_size[geom, 0]), model.geom_type[geom] == _SPHERE
        half = 0.0 if is_sphere else float(model.geom_size[geom, 1])
        axis = rotation_matrix(model.geom_quat[geom])[:, 2]
        number = int(model.geom_bodyid[geom])
        numbers.append(number)
        spheres.append(int(is_sphere))
        centre = order.in_body(number, model.geom_pos[geom])
        geometry += [plane.points(centre), plane.points(order.turned(number, half * axis)), radius]
        reach += radius + half
    weight = float(model.body_invweight0[numbers, 0].sum())
    bodies, frames = [order.body(number) for number in numbers], order.places[numbers]
    impedances = impedance(model, mixed.reference, mixed.impedances, weight)
    return (bodies, frames, *geometry, *spheres, max(0.0, reach + mixed.margin) ** 2, mixed.margin, impedances)


def _controls_and_sites(model: Any, plane: Frame) -> dict[str, Any]:
    joint = np.array(model.actuator_trnid).reshape(-1, 2)[:, 0]
    is_limited = np.array(model.actuator_ctrllimited).astype(bool)[:, None]
    gear = _first(model.actuator_gear, model.nu)
    bodies, places = read_bodies(model, plane), order_of(model).places[model.site_bodyid]
    return {
        **{"control_dof": np.array(model.jnt_dofadr)[joint], "control_gain": gear * _first(model.actuator_gainprm, model.nu)},
        **{"control_range": np.where(is_limited, np.reshape(model.actuator_ctrlrange, (-1, 2)), (-np.inf, np.inf))},
        **{"site_frame": places, "site_offset": plane.points(model.site_pos)},
        **{"site_depth": bodies["depth"][places] + plane.depths(model.site_pos)},
    }


def _rows(values: list[Any], width: int) -> FloatArray:
    return np.array(values, float).reshape(len(values), width)


def _columns(prefix: str, names: tuple[str, ...], rows: list[tuple[Any, ...]], widths: dict[str, int]) -> dict[str, Any]:
    """Return the columns of a list of rows as arrays, also where there are no rows."""
    integers = {"body", "frame", "bodies", "frames", "is_sphere1", "is_sphere2"}
    columns = {}
    for place, name in enumerate(names):
        shape = (len(rows), widths[name]) if name in widths else (len(rows),)
        columns[f"{prefix}_{name}"] = np.array([row[place] for row in rows], np.int64 if name in integers else float).reshape(shape)
    return columns
