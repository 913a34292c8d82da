"""Coordinates of points, rotations and inertias: in space, or in the plane in which a planar model moves."""

from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.physics.constraints import SMALLEST
from fastars.physics.enums import FREE_JOINT, HINGE_JOINT


def rotation_matrix(quaternion: Any) -> FloatArray:
    """Return the rotation matrix of a unit quaternion (w, x, y, z)."""
    w, x, y, z = (float(entry) for entry in quaternion)
    return np.array(
        [
            [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
        ]
    )


def quaternion_product(p: Any, q: Any) -> FloatArray:
    """Return the quaternion of the rotation q, followed by p."""
    scalar = p[0] * q[0] - np.dot(p[1:], q[1:])
    return np.append(scalar, p[0] * np.asarray(q[1:]) + q[0] * np.asarray(p[1:]) + np.cross(p[1:], q[1:]))


def ancestry(model: Any, body: int) -> list[int]:
    """Return a body and its ancestors, without the world."""
    bodies = []
    while body > 0:
        bodies.append(int(body))
        body = model.body_parentid[body]
    return bodies


def turn_at_zero(model: Any, body: int) -> FloatArray:
    """Return the rotation (3, 3) of a body in the world where all joints are at zero."""
    turn = np.eye(3)
    for each in ancestry(model, body):
        turn = rotation_matrix(model.body_quat[each]) @ turn
    return turn


def place_at_zero(model: Any, geom: int) -> FloatArray:
    """Return the place (3,) of a geom in the world where all joints are at zero."""
    place = np.array(model.geom_pos[geom], float)
    for each in ancestry(model, model.geom_bodyid[geom]):
        place = model.body_pos[each] + rotation_matrix(model.body_quat[each]) @ place
    return place


class Plane(NamedTuple):
    """The directions u, w and the normal of a plane, as rows; a turn about the normal goes from u to w."""

    axes: FloatArray  # (3, 3)
    d: int = 2

    def points(self, x: Any) -> FloatArray:
        """Return the coordinates (u, w) of points, shape (..., 2)."""
        return np.asarray(x, float) @ self.axes[:2].T

    def depths(self, x: Any) -> FloatArray:
        """Return the coordinates of points along the normal."""
        return np.asarray(x, float) @ self.axes[2]

    def motion(self, linear: Any) -> FloatArray:
        """Return the motion vector of a translation."""
        return np.array([0.0, *self.points(linear)])

    def rotation(self, matrix: FloatArray) -> FloatArray:
        """Return (cosine, sine) of a rotation about the normal."""
        return self.points(matrix @ self.axes[0])

    def inertia(self, matrix: FloatArray) -> float:
        """Return the moment of inertia about the normal."""
        return float(self.axes[2] @ matrix @ self.axes[2])

    def height(self, model: Any, floor: int) -> float:
        """Return the height of a plane geom."""
        return float(self.points(place_at_zero(model, floor))[0])

    def box(self, inertia: Any, mass: float, matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the sizes of the box with the same inertia, the last along the normal, and the direction of the first size."""
        across = int(np.argmax(np.abs(matrix.T @ self.axes[2])))
        order = [(across + 1) % 3, (across + 2) % 3, across]
        doubled = np.maximum(SMALLEST, inertia.sum() - 2.0 * np.asarray(inertia))
        sizes = np.sqrt(doubled / mass * 6.0) if mass > 0 else np.zeros(3)
        return sizes[order], self.points(matrix[:, order[0]])


class Space(NamedTuple):
    """The world's own directions, with the methods of `Plane`. Its points have no depth."""

    axes: FloatArray  # (3, 3)
    d: int = 3

    def points(self, x: Any) -> FloatArray:
        """Return points as they are, shape (..., 3)."""
        return np.array(x, float)

    def depths(self, x: Any) -> FloatArray:
        """Return 0 for each point."""
        return np.zeros(np.shape(x)[:-1])

    def motion(self, linear: Any) -> FloatArray:
        """Return the motion vector of a translation."""
        return np.array([0.0, 0.0, 0.0, *linear])

    def rotation(self, matrix: FloatArray) -> FloatArray:
        """Return the 9 entries of a rotation."""
        return matrix.ravel()

    def inertia(self, matrix: FloatArray) -> FloatArray:
        """Return (xx, yy, zz, xy, xz, yz) of an inertia."""
        return np.array([*np.diag(matrix), matrix[0, 1], matrix[0, 2], matrix[1, 2]])

    def height(self, model: Any, floor: int) -> float:
        """Return the height of a plane geom."""
        return float(place_at_zero(model, floor)[2])

    def box(self, inertia: Any, mass: float, matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the sizes of the box with the same inertia along its axes, and their rotation."""
        doubled = np.maximum(SMALLEST, inertia.sum() - 2.0 * np.asarray(inertia))
        return np.sqrt(doubled / mass * 6.0) if mass > 0 else np.zeros(3), matrix.ravel()


Coordinates = Plane | Space


def coordinates_of(model: Any) -> Coordinates:
    """Return the plane of a model that stays in one, the space of another."""
    if np.any(model.jnt_type == FREE_JOINT):
        return Space(np.eye(3))
    return plane_of(model)


def plane_of(model: Any) -> Plane:
    """Return the plane of a planar model, normal to its hinges. In a vertical plane, u points upwards, as from a floor."""
    normal = model.jnt_axis[model.jnt_type == HINGE_JOINT][0]
    normal = normal / np.linalg.norm(normal)
    normal = normal * np.sign(normal[int(np.argmax(np.abs(normal)))])
    x, y, z = np.eye(3)
    across = np.cross(normal, y)  # of a plane along neither z nor x, which is not normal to y
    up = next(u for u in (z, x, across / max(SMALLEST, np.linalg.norm(across))) if abs(u @ normal) < 1e-9)
    return Plane(np.array([up, np.cross(normal, up), normal]))
