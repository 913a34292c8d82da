"""Coordinates of points, rotations and inertias: in space, or in the plane in which a planar model moves."""

from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray
from fastars.physics.constraints import SMALLEST
from fastars.physics.enums import FREE_JOINT, HINGE_JOINT, PLANE, SLIDE_JOINT


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


def fixed_place(model: Any, geom: int) -> FloatArray:
    """Return where in the world a geom of a body without joints is."""
    place, body = np.array(model.geom_pos[geom], float), int(model.geom_bodyid[geom])
    while body > 0:
        place = model.body_pos[body] + rotation_matrix(model.body_quat[body]) @ place
        body = int(model.body_parentid[body])
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
        return float(self.points(fixed_place(model, floor))[0])

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
        return float(fixed_place(model, floor)[2])

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
    """Return the plane of a planar model: normal to its hinges, or to its slides; u points up from its floor, if there is one."""
    hinges = model.jnt_axis[model.jnt_type == HINGE_JOINT]
    slides = model.jnt_axis[model.jnt_type == SLIDE_JOINT]
    normal = hinges[0] if len(hinges) else np.cross(slides[0], slides[-1])
    if np.linalg.norm(normal) < 0.5:  # slides along one line
        normal = np.cross(slides[0], np.eye(3)[int(np.argmin(np.abs(slides[0])))])
    normal = normal / np.linalg.norm(normal)
    normal = normal * np.sign(normal[int(np.argmax(np.abs(normal)))])
    floors = np.flatnonzero(model.geom_type == PLANE)
    ups = [rotation_matrix(model.geom_quat[floor])[:, 2] for floor in floors] + [np.eye(3)[2], np.eye(3)[0]]
    up = next(direction for direction in ups if abs(direction @ normal) < 1e-9)
    return Plane(np.array([up, np.cross(normal, up), normal]))
