"""Contacts between spheres, capsules and planes.

MuJoCo's documentation, "Computation", "Collision detection": selection of pairs, distances, and parameters of a contact ("Contact
parameters" in the chapter "Modeling"). A contact has a frame whose first row is the normal, from the first geom to the second.
"""

from typing import Any, NamedTuple

import numpy as np

PLANE, SPHERE, CAPSULE = 0, 2, 3  # mjtGeom
TINY, LEAST_FRICTION = 1e-15, 1e-5  # mjMINVAL, mjMINMU


class Contact(NamedTuple):
    """Two bodies that touch, or nearly do, in one point."""

    bodies: tuple[int, int]
    distance: float  # m, negative where they overlap
    position: Any  # (3,) m, midway between the surfaces
    frame: Any  # (3, 3), rows: normal, tangents
    margin: float  # m, the contact acts below this distance
    dim: int  # 1 without friction, 3 with
    friction: float
    solref: Any  # (2,)
    solimp: Any  # (5,)


class Parameters(NamedTuple):
    """Parameters of all contacts of a pair of geoms."""

    margin: float
    dim: int
    friction: float
    solref: Any
    solimp: Any


def contacts(model, kinematics, mujoco_version):
    """Return the list of all contacts that act. `mujoco_version` is a tuple, as (3, 3)."""
    found = []
    for geom1, geom2 in geom_pairs(model):
        parameters = mixed(model, geom1, geom2, mujoco_version)
        for distance, position, normal, tangent in touching_points(
            model, kinematics, (geom1, geom2), parameters.margin, mujoco_version
        ):
            if distance < parameters.margin:
                bodies = (int(model.geom_bodyid[geom1]), int(model.geom_bodyid[geom2]))
                found.append(Contact(bodies, distance, position, contact_frame(normal, tangent), *parameters))
    return found


def geom_pairs(model):
    """Return the pairs of geoms that are tested, the one with the simpler shape first. "Selection"."""
    pairs = [(a, b) for a in range(model.ngeom) for b in range(a + 1, model.ngeom) if may_collide(model, a, b)]
    return [(a, b) if model.geom_type[a] <= model.geom_type[b] else (b, a) for a, b in pairs]


def may_collide(model, geom1, geom2):
    """Return True unless masks, a common body, a parent and its child, or an exclusion forbid contacts."""
    masks = model.geom_contype[geom1] & model.geom_conaffinity[geom2] or model.geom_contype[geom2] & model.geom_conaffinity[geom1]
    body1, body2 = sorted((int(model.geom_bodyid[geom1]), int(model.geom_bodyid[geom2])))
    if not masks or (body1 << 16) + body2 in model.exclude_signature:
        return False
    weld1, weld2 = model.body_weldid[body1], model.body_weldid[body2]  # bodies without joints are parts of those they hang on
    parent1, parent2 = (model.body_weldid[model.body_parentid[weld]] for weld in (weld1, weld2))
    related = weld1 == weld2 or (weld1 != 0 and weld2 != 0 and (weld1 == parent2 or weld2 == parent1))
    return not related


def mixed(model, geom1, geom2, mujoco_version):
    """Return the `Parameters` of a pair: of the geom with the higher priority, else a mixture."""
    margins = model.geom_margin[geom1], model.geom_margin[geom2]
    margin = sum(margins) if mujoco_version >= (3, 5) else max(margins)  # seen: 3.4.0 takes the larger one, 3.5.0 the sum
    if model.geom_priority[geom1] != model.geom_priority[geom2]:
        geom = geom1 if model.geom_priority[geom1] > model.geom_priority[geom2] else geom2
        solref, solimp = model.geom_solref[geom], model.geom_solimp[geom]
        return Parameters(margin, model.geom_condim[geom], max(LEAST_FRICTION, model.geom_friction[geom, 0]), solref, solimp)
    weights = model.geom_solmix[geom1], model.geom_solmix[geom2]
    mix = 0.5 if max(weights) < TINY else weights[0] / sum(weights) if min(weights) >= TINY else float(weights[0] >= TINY)
    return Parameters(
        margin=margin,
        dim=max(model.geom_condim[geom1], model.geom_condim[geom2]),
        friction=max(LEAST_FRICTION, model.geom_friction[geom1, 0], model.geom_friction[geom2, 0]),
        solref=mix * model.geom_solref[geom1] + (1 - mix) * model.geom_solref[geom2],
        solimp=mix * model.geom_solimp[geom1] + (1 - mix) * model.geom_solimp[geom2],
    )


def touching_points(model, kinematics, geoms, margin, mujoco_version):
    """Return a list of (distance, position, normal, tangent) of two geoms."""
    geom1, geom2 = geoms
    centre1, centre2 = kinematics.geom_xpos[geom1], kinematics.geom_xpos[geom2]
    axis1, axis2 = kinematics.geom_xmat[geom1][:, 2], kinematics.geom_xmat[geom2][:, 2]
    radius1, radius2 = model.geom_size[geom1, 0], model.geom_size[geom2, 0]
    half1, half2 = (model.geom_size[geom, 1] if model.geom_type[geom] == CAPSULE else 0.0 for geom in (geom1, geom2))
    if model.geom_type[geom1] == PLANE:
        along = axis2 if half2 else np.zeros(3)  # a capsule's axis is the first tangent of its contacts
        ends = (half2, -half2) if half2 else (0.0,)
        return [plane_and_sphere(centre1, axis1, centre2 + end * axis2, radius2, along) for end in ends]
    nearest = nearest_points(centre1, half1 * axis1, centre2, half2 * axis2, mujoco_version)
    points = (spheres(point1, radius1, point2, radius2, np.cross(axis1, axis2)) for point1, point2 in nearest)
    return [point for point in points if point[0] <= margin][:2]


def plane_and_sphere(origin, normal, centre, radius, tangent):
    """Return the touching point of a plane and a sphere."""
    distance = (centre - origin) @ normal - radius
    return distance, centre - normal * (distance / 2 + radius), normal, tangent


def spheres(centre1, radius1, centre2, radius2, if_equal):
    """Return the touching point of two spheres. Where the centres are equal, the normal is the unit vector along `if_equal`."""
    length = np.linalg.norm(centre2 - centre1)
    normal = (centre2 - centre1) / length if length >= TINY else unit(if_equal)
    distance = length - radius1 - radius2
    return distance, centre1 + normal * (radius1 + distance / 2), normal, np.zeros(3)


def unit(vector):
    """Return a vector with length 1, or the x axis for a vector of no length."""
    length = np.linalg.norm(vector)
    return vector / length if length >= TINY else np.array([1.0, 0.0, 0.0])


def nearest_points(centre1, half1, centre2, half2, mujoco_version):
    """Return pairs of nearest points of two segments centre + x half, -1 <= x <= 1: one, or more where they are parallel.

    Least squares: x1, x2 make the gap's square stationary, [[a, b], [b, c]] @ [x1, x2] = [u, v]; a value beyond an end is put
    there, and the other one found again. Parallel segments have the two ends of the stretch in which they lie side by side. Before
    version 3.17 they have the points nearest to all four ends, of which the first two near ones count.
    """
    gap = centre1 - centre2
    a, b, c, u, v = half1 @ half1, -(half1 @ half2), half2 @ half2, -(half1 @ gap), half2 @ gap

    def clipped(numerator, denominator):
        return float(np.clip(numerator / denominator, -1, 1)) if denominator > 0 else 0.0

    determinant, parallel = a * c - b * b, 1e-8 * a * c if mujoco_version >= (3, 16) else TINY
    if a == 0 or c == 0:  # a sphere
        found = [(clipped(u, a), clipped(v, c))]
    elif abs(determinant) >= parallel:
        x1, x2 = (c * u - b * v) / determinant, (a * v - b * u) / determinant
        if abs(x1) > 1:
            x1 = np.sign(x1)
            x2 = (v - b * x1) / c
        if abs(x2) > 1:
            x2 = np.sign(x2)
            x1 = clipped(u - b * x2, a)
        found = [(x1, x2)]
    elif mujoco_version >= (3, 17):
        found = [end_of_overlap(end, np.sign(-b), (a, b, c, u, v)) for end in (-1.0, 1.0)]
    else:
        found = [(x1, clipped(v - b * x1, c)) for x1 in (1, -1)] + [(clipped(u - b * x2, a), x2) for x2 in (1, -1)]
    return [(centre1 + x1 * half1, centre2 + x2 * half2) for x1, x2 in found]


def end_of_overlap(end, direction, products):
    """Return (x1, x2) at one end, -1 or 1, of the stretch in which two parallel segments lie side by side.

    It is where the second segment ends, if that is within the first, and otherwise where the first one ends. `direction` is -1 if
    the segments point against each other.
    """
    a, b, c, u, v = products
    x2 = end * direction
    x1 = (u - b * x2) / a
    if end * x1 < 1:
        return max(-1.0, min(1.0, x1)), x2
    x1, x2 = end, (v - b * end) / c
    if abs(x2) > 1:
        x2 = np.sign(x2)
        x1 = max(-1.0, min(1.0, (u - b * x2) / a))
    return x1, x2


def contact_frame(normal, tangent):
    """Return the frame (3, 3).

    The tangent is made orthogonal to the normal. One that is too short is replaced by an axis of the world.
    """
    if tangent @ tangent < 0.25:
        tangent = np.array([0.0, 1.0, 0.0]) if abs(normal[1]) < 0.5 else np.array([0.0, 0.0, 1.0])
    tangent = unit(tangent - normal * (normal @ tangent))
    return np.array([normal, tangent, np.cross(normal, tangent)])
