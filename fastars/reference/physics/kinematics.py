"""Positions of bodies, and the Jacobians of their points.

MuJoCo's documentation, "Computation", "Simulation pipeline", stage "Position", step 1 (forward kinematics) and 2 (centres of mass).
Quaternions are (w, x, y, z). Columns of a matrix `xmat[b]` are the axes of body b's frame, in the axes of the world.
"""

from typing import Any, NamedTuple

import numpy as np

FREE, BALL, SLIDE, HINGE = 0, 1, 2, 3  # mjtJoint


class Kinematics(NamedTuple):
    """A configuration in the axes of the world, in the names of mjData."""

    xpos: Any  # (nbody, 3) m, origins of the bodies
    xquat: Any  # (nbody, 4)
    xmat: Any  # (nbody, 3, 3)
    xipos: Any  # (nbody, 3) m, centres of mass
    ximat: Any  # (nbody, 3, 3) axes of the principal inertias
    xanchor: Any  # (njnt, 3) m, a point on each joint's axis
    xaxis: Any  # (njnt, 3)
    geom_xpos: Any  # (ngeom, 3) m
    geom_xmat: Any  # (ngeom, 3, 3)
    site_xpos: Any  # (nsite, 3) m
    subtree_com: Any  # (nbody, 3) m, centre of mass of a body with all that hangs on it


def multiply(p, q):
    """Return the product of two quaternions: first turn by q, then by p."""
    scalar = p[0] * q[0] - p[1:] @ q[1:]
    return np.array([scalar, *(p[0] * q[1:] + q[0] * p[1:] + np.cross(p[1:], q[1:]))])


def turn(axis, angle):
    """Return the quaternion of a turn about a unit vector, angle in radians."""
    return np.array([np.cos(angle / 2), *(np.sin(angle / 2) * axis)])


def matrix(q):
    """Return the rotation matrix (3, 3) of a unit quaternion."""
    w, x, y, z = q
    return np.array(
        [
            [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
        ]
    )


def joints_of(model, body):
    """Return the indices of a body's own joints, in the order in which they move it."""
    return range(model.body_jntadr[body], model.body_jntadr[body] + model.body_jntnum[body])


def forward_kinematics(model, qpos):
    """Return the `Kinematics` of a configuration qpos (nq,): a body is placed in its parent's frame, then moved by its joints."""
    xpos, xquat = np.zeros((model.nbody, 3)), np.zeros((model.nbody, 4))
    xanchor, xaxis = np.zeros((model.njnt, 3)), np.zeros((model.njnt, 3))
    xquat[0, 0] = 1.0
    for body in range(1, model.nbody):
        parent = model.body_parentid[body]
        pos = xpos[parent] + matrix(xquat[parent]) @ model.body_pos[body]
        quat = multiply(xquat[parent], model.body_quat[body])
        for joint in joints_of(model, body):
            pos, quat, xanchor[joint], xaxis[joint] = move(model, joint, qpos, pos, quat)
        xpos[body], xquat[body] = pos, quat / np.linalg.norm(quat)
    xmat = np.array([matrix(q) for q in xquat])
    xipos, ximat = placed(xpos, xmat, range(model.nbody), model.body_ipos, model.body_iquat)
    geom_xpos, geom_xmat = placed(xpos, xmat, model.geom_bodyid, model.geom_pos, model.geom_quat)
    site_xpos, _ = placed(xpos, xmat, model.site_bodyid, model.site_pos, model.site_quat)
    subtree_com = centres_of_mass(model, xipos)
    return Kinematics(xpos, xquat, xmat, xipos, ximat, xanchor, xaxis, geom_xpos, geom_xmat, site_xpos, subtree_com)


def move(model, joint, qpos, pos, quat):
    """Move a frame by one joint. Returns (position, quaternion, anchor, axis)."""
    at = model.jnt_qposadr[joint]
    if model.jnt_type[joint] == FREE:
        quat = qpos[at + 3 : at + 7] / np.linalg.norm(qpos[at + 3 : at + 7])
        return qpos[at : at + 3], quat, qpos[at : at + 3], model.jnt_axis[joint]
    axis = matrix(quat) @ model.jnt_axis[joint]
    anchor = pos + matrix(quat) @ model.jnt_pos[joint]
    moved = qpos[at] - model.qpos0[at]
    if model.jnt_type[joint] == SLIDE:
        return pos + axis * moved, quat, anchor, axis
    quat = multiply(quat, turn(model.jnt_axis[joint], moved))  # a hinge: the anchor stays where it is
    return anchor - matrix(quat) @ model.jnt_pos[joint], quat, anchor, axis


def placed(xpos, xmat, bodies, local_pos, local_quat):
    """Return the positions (n, 3) and axes (n, 3, 3) of frames that are fixed to bodies."""
    pos = [xpos[body] + xmat[body] @ offset for body, offset in zip(bodies, local_pos, strict=True)]
    mat = [xmat[body] @ matrix(quat) for body, quat in zip(bodies, local_quat, strict=True)]
    return np.array(pos).reshape(-1, 3), np.array(mat).reshape(-1, 3, 3)


def centres_of_mass(model, xipos):
    """Return the centres of mass (nbody, 3) of the subtrees. A subtree without mass has its body's own."""
    mass, moment = model.body_mass.copy(), model.body_mass[:, None] * xipos
    for body in range(model.nbody - 1, 0, -1):
        mass[model.body_parentid[body]] += mass[body]
        moment[model.body_parentid[body]] += moment[body]
    empty = mass < 1e-15
    return np.where(empty[:, None], xipos, moment / np.where(empty, 1.0, mass)[:, None])


def jacobian(model, kinematics, body, point):
    """Return (linear, angular), each (3, nv), of a body's material point.

    Its velocity is linear @ qvel, and the body's angular velocity is angular @ qvel.
    A joint moves its body and all bodies below it: a slide by its axis, a hinge by axis x (point - anchor). A free joint has the
    velocity of its origin in the axes of the world and the angular velocity in the axes of its body.
    """
    linear, angular = np.zeros((3, model.nv)), np.zeros((3, model.nv))
    while body > 0:
        for joint in joints_of(model, body):
            i, axis, anchor = model.jnt_dofadr[joint], kinematics.xaxis[joint], kinematics.xanchor[joint]
            match model.jnt_type[joint]:
                case 0:  # FREE
                    linear[:, i : i + 3] = np.eye(3)
                    angular[:, i + 3 : i + 6] = kinematics.xmat[body]
                    linear[:, i + 3 : i + 6] = np.cross(kinematics.xmat[body].T, point - anchor).T
                case 2:  # SLIDE
                    linear[:, i] = axis
                case 3:  # HINGE
                    angular[:, i] = axis
                    linear[:, i] = np.cross(axis, point - anchor)
        body = model.body_parentid[body]
    return linear, angular
