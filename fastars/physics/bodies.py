"""Bodies that move for themselves, each with all that is fixed to it.

A body of MuJoCo without joints moves as if it were a part of its parent. So its mass counts there, and a step doesn't look at it:
of Ant's 13 bodies, 9 are left. Where it is, outputs say.
"""

from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.structs import FloatArray, IntArray
from fastars.physics.coordinates import Coordinates, quaternion_product, rotation_matrix
from fastars.physics.enums import FREE_JOINT


class Carrier(NamedTuple):
    """The moving body that carries a body of MuJoCo, and the place of the latter in it."""

    body: int  # MuJoCo's number
    offset: FloatArray  # (3,)
    quaternion: FloatArray  # (4,)


class Inertia(NamedTuple):
    """The inertia of a moving body, in its own axes."""

    mass: float
    centre: FloatArray  # (3,)
    rotational: FloatArray  # (3, 3), about the centre of mass


def moving_bodies(model: Any) -> IntArray:
    """Return the numbers of the world and of the bodies that have joints; in a fluid, which sees each body alone, all bodies."""
    is_moving = np.array(model.body_dofnum) > 0
    is_moving[0] = True
    return np.flatnonzero(is_moving | (model.opt.density > 0 or model.opt.viscosity > 0))


def carriers(model: Any) -> list[Carrier]:
    """Return the carrier of each body of MuJoCo. A body that moves carries itself."""
    moving, found = set(moving_bodies(model).tolist()), []
    for body in range(model.nbody):
        if body in moving:
            found.append(Carrier(body, np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0])))
        else:
            found.append(place_in_carrier(model, body, found[model.body_parentid[body]]))
    return found


def place_in_carrier(model: Any, body: int, parent: Carrier) -> Carrier:
    """Return the place of a body, with its joints at zero, in the carrier of its parent."""
    offset = parent.offset + rotation_matrix(parent.quaternion) @ model.body_pos[body]
    return Carrier(parent.body, offset, quaternion_product(parent.quaternion, model.body_quat[body]))


def carried_inertia(model: Any, body: int, carried: list[Carrier]) -> Inertia:
    """Return the inertia of a moving body with all that it carries: a sum about the common centre of mass (Steiner)."""
    members = [member for member in range(model.nbody) if carried[member].body == body]
    parts = [_own_inertia(model, member, carried[member]) for member in members]
    mass = sum(part.mass for part in parts)
    if len(parts) == 1 or mass == 0:
        return parts[0]
    centre = np.sum([part.mass * part.centre for part in parts], axis=0) / mass
    rotational = np.zeros((3, 3))
    for part in parts:
        arm = part.centre - centre
        rotational += part.rotational + part.mass * (arm @ arm * np.eye(3) - np.outer(arm, arm))
    return Inertia(mass, centre, rotational)


def _own_inertia(model: Any, body: int, carrier: Carrier) -> Inertia:
    """Return the inertia of one body of MuJoCo, in the axes of its carrier."""
    turn = rotation_matrix(carrier.quaternion)
    axes = turn @ rotation_matrix(model.body_iquat[body])
    centre = carrier.offset + turn @ model.body_ipos[body]
    return Inertia(float(model.body_mass[body]), centre, axes @ np.diag(model.body_inertia[body]) @ axes.T)


class BodyOrder(NamedTuple):
    """The order of bodies in lanes: the moving ones, as in MuJoCo, then those that they carry."""

    frames: list[int]  # numbers of MuJoCo's bodies
    places: IntArray  # the inverse: of a body of MuJoCo, its place
    n_moving: int
    carriers: list[Carrier]

    def body(self, number: int) -> int:
        """Return the place of the moving body that carries a body of MuJoCo."""
        return int(self.places[self.carriers[number].body])

    def in_body(self, number: int, point: Any) -> FloatArray:
        """Return a point of a body of MuJoCo in the axes of the moving body that carries it."""
        return self.carriers[number].offset + self.turned(number, point)

    def turned(self, number: int, direction: Any) -> FloatArray:
        """Return a direction of a body of MuJoCo in the axes of the moving body that carries it."""
        return rotation_matrix(self.carriers[number].quaternion) @ direction


def order_of(model: Any) -> BodyOrder:
    """Return the order of the bodies of a model."""
    moving = moving_bodies(model).tolist()
    frames = moving + [body for body in range(model.nbody) if body not in set(moving)]
    return BodyOrder(frames, np.argsort(frames), len(moving), carriers(model))


def read_bodies(model: Any, coordinates: Coordinates) -> dict[str, Any]:
    """Return the arrays of `LaneModel` that describe bodies."""
    order = order_of(model)
    frames, moving = order.frames, order.frames[: order.n_moving]
    places = [place_in_carrier(model, b, order.carriers[model.body_parentid[b]]) for b in frames]
    inertias = [carried_inertia(model, b, order.carriers) for b in moving]
    axes = [rotation_matrix(model.body_iquat[b]) for b in moving]
    boxes = [coordinates.box(model.body_inertia[b], model.body_mass[b], axis) for b, axis in zip(moving, axes, strict=True)]
    depths = coordinates.depths(model.body_pos)
    first = np.where(model.body_dofnum > 0, model.body_dofadr, 0)
    last = np.where(model.body_dofnum > 0, first + model.body_dofnum - 1, -1)
    for body in range(1, model.nbody):
        depths[body] += depths[model.body_parentid[body]]
        last[body] = last[body] if last[body] >= 0 else last[model.body_parentid[body]]
    is_free = np.isin(np.arange(model.nbody), model.jnt_bodyid[model.jnt_type == FREE_JOINT])
    damping = np.reshape(model.dof_damping, (model.nv, -1))
    on_diagonal = np.bincount(model.dof_bodyid, model.dof_armature + np.abs(damping).sum(axis=1), model.nbody)
    return {
        **{"n_bodies": order.n_moving, "n_frames": model.nbody, "frame_number": frames},
        **{"parent": [0] + [order.body(model.body_parentid[b]) for b in frames[1:]]},
        **{"first_dof": first[frames], "end_dof": (first + model.body_dofnum)[frames], "last_dof": last[moving]},
        **{"is_free": is_free[frames], "is_floating": (is_free & (on_diagonal == 0))[frames]},
        **{"offset": coordinates.points([place.offset for place in places]), "depth": depths[frames]},
        **{"is_turned": [not np.array_equal(place.quaternion, (1, 0, 0, 0)) for place in places]},
        **{"turn": [coordinates.rotation(rotation_matrix(place.quaternion)) for place in places]},
        **{"quaternion": [place.quaternion for place in places]},
        **{"mass": [inertia.mass for inertia in inertias], "centre": coordinates.points([inertia.centre for inertia in inertias])},
        **{"rotational": [coordinates.inertia(inertia.rotational) for inertia in inertias]},
        **{"box": [size for size, _ in boxes], "box_axis": [axis for _, axis in boxes]},
        **{"own_mass": np.array(model.body_mass)[frames], "own_centre": coordinates.points(model.body_ipos[frames])},
        **{"own_centre_depth": (depths + coordinates.depths(model.body_ipos))[frames]},
        **{"tree_parent": np.array(model.body_parentid), "tree_root": np.array(model.body_rootid)},
        **{"tree_mass": np.array(model.body_subtreemass)},
    }
