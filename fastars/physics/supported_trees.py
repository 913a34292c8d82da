"""Trees of bodies and joints that the lanes can compute: planar ones, and one with a free root in space."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastars.physics.coordinates import rotation_matrix, turn_at_zero
from fastars.physics.enums import BALL_JOINT, FREE_JOINT, HINGE_JOINT, SLIDE_JOINT
from fastars.physics.words import element

ALIGNED = 1e-9  # a larger sine of an angle is no rounding


def tree_faults(mj_model: Any) -> Iterator[str]:
    """Yield one sentence for each joint or body that is not supported."""
    if mj_model.nv == 0:
        yield "there is no joint"
        return
    for joint in range(mj_model.njnt):
        if mj_model.jnt_type[joint] == BALL_JOINT:
            yield f"{element(mj_model, 'joint', joint)} is a ball joint"
    yield from number_faults(mj_model)
    yield from limit_faults(mj_model)
    if FREE_JOINT in mj_model.jnt_type:
        yield from spatial_faults(mj_model)
    else:
        yield from planar_faults(mj_model)


def number_faults(mj_model: Any) -> Iterator[str]:
    """Yield free joints with a spring, and joints with negative or nonlinear damping."""
    for joint in range(mj_model.njnt):
        words = element(mj_model, "joint", joint)
        if mj_model.jnt_type[joint] == FREE_JOINT and np.any(mj_model.jnt_stiffness[joint] != 0):
            yield f"{words} is free and has a spring"
    for dof in range(mj_model.nv):
        words = element(mj_model, "joint", mj_model.dof_jntid[dof])
        damping = np.ravel(mj_model.dof_damping[dof])
        if damping[0] < 0:
            yield f"{words} has negative damping"
        if np.any(damping[1:] != 0):
            yield f"{words} has nonlinear damping"


def limit_faults(mj_model: Any) -> Iterator[str]:
    """Yield joints with limits that are not supported."""
    for joint in range(mj_model.njnt):
        if not mj_model.jnt_limited[joint] or mj_model.jnt_type[joint] == FREE_JOINT:  # a free joint has none, whatever it says
            continue
        words = element(mj_model, "joint", joint)
        low, high = mj_model.jnt_range[joint]
        if not high - low > 2 * mj_model.jnt_margin[joint]:
            yield f"{words} can be at both of its limits"
        yield from softness_faults(mj_model.jnt_solref[joint], mj_model.jnt_solimp[joint], f"the limits of {words} have")


def softness_faults(solref: np.ndarray, solimp: np.ndarray, words: str) -> Iterator[str]:
    """Yield faults of a limit's or a geom's solref and solimp."""
    if not np.all(solref > 0):
        yield f"{words} a solref that is not positive"
    if solimp[4] != 2:
        yield f"{words} a solimp with power {solimp[4]:g}"


def spatial_faults(mj_model: Any) -> Iterator[str]:
    """Yield faults of a model with a free joint: it must have one tree with hinges."""
    roots = {int(mj_model.body_rootid[body]) for body in mj_model.jnt_bodyid}
    if len(roots) > 1:
        names = " and ".join(element(mj_model, "body", root) for root in sorted(roots)[:2])
        yield f"there are several trees in space: {names}"
    for joint in range(mj_model.njnt):
        if mj_model.jnt_type[joint] == SLIDE_JOINT:
            yield f"{element(mj_model, 'joint', joint)} is a slide below a free joint"


def planar_faults(mj_model: Any) -> Iterator[str]:
    """Yield faults of a model without a free joint: all hinges must have one direction, and all slides be perpendicular to it."""
    normal = plane_normal(mj_model)
    if normal is None:
        yield "there is neither a hinge nor a free joint"
        return
    turns = [np.eye(3)]
    for body in range(1, mj_model.nbody):
        turns.append(turns[mj_model.body_parentid[body]] @ rotation_matrix(mj_model.body_quat[body]))
        if not is_along(turns[body] @ normal, normal, 1):
            yield f"{element(mj_model, 'body', body)} is turned out of the plane in which the model moves"
    for joint in range(mj_model.njnt):
        axis = turns[mj_model.jnt_bodyid[joint]] @ mj_model.jnt_axis[joint]
        if mj_model.jnt_type[joint] == HINGE_JOINT and not (is_along(axis, normal, 1) or is_along(axis, normal, -1)):
            yield f"{element(mj_model, 'joint', joint)} is not parallel to the first hinge, and there is no free joint"
        if mj_model.jnt_type[joint] == SLIDE_JOINT and abs(axis @ normal) > ALIGNED:
            yield f"{element(mj_model, 'joint', joint)} slides out of the plane in which the model moves"
    if mj_model.opt.density or mj_model.opt.viscosity:
        for body in range(1, mj_model.nbody):
            axes = rotation_matrix(mj_model.body_iquat[body])
            if mj_model.body_mass[body] > 0 and not np.any(np.abs(normal @ axes) > 1 - ALIGNED):
                yield f"{element(mj_model, 'body', body)} has axes of inertia out of the plane, in a fluid"


def plane_normal(mj_model: Any) -> np.ndarray | None:
    """Return the direction (3,) of the first hinge where all joints are at zero, in the axes of the world; None without a hinge."""
    hinges = np.flatnonzero(np.asarray(mj_model.jnt_type) == HINGE_JOINT)
    if len(hinges) == 0:
        return None
    return turn_at_zero(mj_model, mj_model.jnt_bodyid[hinges[0]]) @ mj_model.jnt_axis[hinges[0]]


def is_along(vector: np.ndarray, other: np.ndarray, sign: int) -> bool:
    """Return True if two unit vectors have the same direction, or the opposite one for sign = -1."""
    return bool(np.max(np.abs(vector - sign * other)) < ALIGNED)
