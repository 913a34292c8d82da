"""Joints, contacts with the floor and fluid in space: the functions that need a body, for models whose vectors have 6 entries.

A root body may be free. It has 7 positions, the place of its origin and a unit quaternion, and 6 dofs: the velocity of its origin
along the world's axes, and the rate at which it turns about its own. MuJoCo's chapter "Simulation", "Floating objects".
"""

import math

from numba.extending import overload

from fastars._compiled.jit import INLINE, inline
from fastars._compiled.simd import absolute, nearest, square_root, where
from fastars._compiled.trig import sincos, sincos_wide
from fastars.physics import articulated, contacts, dynamics, integrators, kinematics
from fastars.physics.algebra import at_point, dot, minus, plus, rotated, scaled, turned, wrench
from fastars.physics.constraints import SMALLEST, add_row
from fastars.physics.planar import is_planar
from fastars.physics.spatial import (
    cross,
    matrix_of_quaternion,
    matrix_of_turn,
    quaternion_product,
    rows_of_matrix,
    solved,
    unit_quaternion,
)

_TWO_PI = 6.283185307179586


@overload(kinematics.place_body, jit_options=INLINE)
def _place_body(m, w, body):
    if not is_planar(m):
        return _place


def _place(m, w, body):
    if m.is_free[body]:
        place_free(m, w, body)
    else:
        kinematics.place_jointed(m, w, body)


@inline
def place_free(m, w, body):
    """Place a free body. Its vectors are about its own origin."""
    dof, place = m.first_dof[body], m.dof_position[m.first_dof[body]]
    origin = w.qpos[place], w.qpos[place + 1], w.qpos[place + 2]
    rotation = matrix_of_quaternion(unit_quaternion((w.qpos[place + 3], w.qpos[place + 4], w.qpos[place + 5], w.qpos[place + 6])))
    w.origin[body], w.position[body], w.rotation[body] = origin, (0.0, 0.0, 0.0), rotation
    w.motion[dof] = 0.0, 0.0, 0.0, 1.0, 0.0, 0.0
    w.motion[dof + 1] = 0.0, 0.0, 0.0, 0.0, 1.0, 0.0
    w.motion[dof + 2] = 0.0, 0.0, 0.0, 0.0, 0.0, 1.0
    w.motion[dof + 3] = rotation[0], rotation[3], rotation[6], 0.0, 0.0, 0.0
    w.motion[dof + 4] = rotation[1], rotation[4], rotation[7], 0.0, 0.0, 0.0
    w.motion[dof + 5] = rotation[2], rotation[5], rotation[8], 0.0, 0.0, 0.0


@overload(kinematics.hinge_axis, jit_options=INLINE)
def _hinge_axis(m, dof, rotation):
    if not is_planar(m):
        return lambda m, dof, rotation: rotated(rotation, m.axis[dof])


@overload(kinematics.hinge_turn, jit_options=INLINE)
def _hinge_turn(m, dof, angle):
    if not is_planar(m):
        return _turn


def _turn(m, dof, angle):
    sine, cosine = sincos_wide(angle)
    return matrix_of_turn(m.axis[dof], sine, cosine)


@overload(kinematics.hinge_motion, jit_options=INLINE)
def _hinge_motion(axis, anchor):
    if len(anchor) == 3:
        return lambda axis, anchor: (*axis, *cross(anchor, axis))


@overload(kinematics.slide_motion, jit_options=INLINE)
def _slide_motion(direction):
    if len(direction) == 3:
        return lambda direction: (0.0, 0.0, 0.0, *direction)


@overload(integrators.move_positions, jit_options=INLINE)
def _move_positions(m, w, start, velocity, time):
    if not is_planar(m):
        return _move


def _move(m, w, start, velocity, time):
    for body in range(1, m.n_bodies):
        if m.is_free[body]:
            move_free(m, w, body, start, velocity, time)
        else:
            for dof in range(m.first_dof[body], m.end_dof[body]):
                place = m.dof_position[dof]
                w.qpos[place] = start[place] + time * velocity[dof]


@inline
def move_free(m, w, body, start, velocity, time):
    """Move a free body; it turns about its own axes: `mju_quatIntegrate`."""
    dof, place = m.first_dof[body], m.dof_position[m.first_dof[body]]
    for k in range(3):
        w.qpos[place + k] = start[place + k] + time * velocity[dof + k]
    rate = velocity[dof + 3], velocity[dof + 4], velocity[dof + 5]
    speed = square_root(dot(rate, rate))
    turns = speed >= SMALLEST
    sine, cosine = sincos_wide(0.5 * time * speed)
    x, y, z = scaled(rate, where(turns, sine / where(turns, speed, 1.0), 0.0))
    before = start[place + 3], start[place + 4], start[place + 5], start[place + 6]
    after = unit_quaternion(quaternion_product(before, (cosine, x, y, z)))
    w.qpos[place + 3], w.qpos[place + 4], w.qpos[place + 5], w.qpos[place + 6] = after


@overload(integrators.bend_rates, jit_options=INLINE)
def _bend_rates(m, w):
    if not is_planar(m):
        return _bend


def _bend(m, w):
    if m.bends_rates:
        for body in range(1, m.n_bodies):
            if m.is_free[body]:
                bend_rate(m, w, m.first_dof[body] + 3)


@inline
def bend_rate(m, w, dof):
    """Replace the turning rate of a free body by that of its rotation vector, which MuJoCo 4 integrates; 3.x did not.

    The rotation vector u, of half a turn at most, leads from the rotation at the start of the step to the present one. Where the
    body turns at r about its own axes, u changes at r + u x r / 2 + k u x (u x r), k = (1 - |u| / 2 cot(|u| / 2)) / |u|**2: the
    inverse of the right Jacobian of SO(3). MuJoCo's documentation doesn't say so; this agrees with it to rounding, at any speed.
    """
    u = scaled((w.stage_qvel[dof], w.stage_qvel[dof + 1], w.stage_qvel[dof + 2]), m.timestep)
    angle = square_root(dot(u, u))
    shortest = angle - _TWO_PI * nearest(angle * (1.0 / _TWO_PI))  # the vector of the same rotation within half a turn
    u = scaled(u, where(angle > 0.0, shortest / where(angle > 0.0, angle, 1.0), 0.0))
    square = dot(u, u)
    sine, cosine = sincos(0.5 * shortest)
    is_large = square > 0.04
    k = where(
        is_large, (1.0 - 0.5 * shortest * cosine / where(is_large, sine, 1.0)) / where(is_large, square, 1.0), _series(square)
    )
    rate = w.rate[dof], w.rate[dof + 1], w.rate[dof + 2]
    sideways = cross(u, rate)
    bent = plus(plus(rate, scaled(sideways, 0.5)), scaled(cross(u, sideways), k))
    w.rate[dof], w.rate[dof + 1], w.rate[dof + 2] = bent


@inline
def _series(square):
    """Return k(t) for t**2 < 0.04, to rounding."""
    return 1.0 / 12.0 + square * (1.0 / 720.0 + square * (1.0 / 30240.0 + square * (1.0 / 1209600.0 + square * (1.0 / 47900160.0))))


@overload(contacts.height, jit_options=INLINE)
def _height(m, w, body, point):
    if not is_planar(m):
        return lambda m, w, body, point: w.origin[body][2] + point[2]


@overload(contacts.lowered, jit_options=INLINE)
def _lowered(point, by):
    if len(point) == 3:
        return lambda point, by: (point[0], point[1], point[2] - by)


@overload(contacts.add_edges, jit_options=INLINE)
def _add_edges(m, w, contact, point, motion, stiffness, reference):
    if not is_planar(m):
        return _add_spatial_edges


def _add_spatial_edges(m, w, contact, point, motion, stiffness, reference):
    friction = m.contact_friction[contact]
    if friction > 0.0:
        x, y = first_tangent(m, w, contact)
        x, y = x * friction, y * friction
        add_row(w, motion, wrench(point, (x, y, 1.0)), stiffness, reference)
        add_row(w, motion, wrench(point, (-x, -y, 1.0)), stiffness, reference)
        add_row(w, motion, wrench(point, (-y, x, 1.0)), stiffness, reference)
        add_row(w, motion, wrench(point, (y, -x, 1.0)), stiffness, reference)
    else:
        add_row(w, motion, wrench(point, (0.0, 0.0, 1.0)), stiffness, reference)


@inline
def first_tangent(m, w, contact):
    """Return x and y of the first tangent: along a capsule, `mju_makeFrame`; for a sphere and an upright capsule along x.

    A sphere's is y in MuJoCo. That gives the same four edges.
    """
    along = rotated(w.rotation[m.contact_body[contact]], m.contact_axis[contact])
    length = square_root(along[0] * along[0] + along[1] * along[1])
    lies = length >= SMALLEST
    inverse = 1.0 / where(lies, length, 1.0)
    return where(lies, along[0] * inverse, 1.0), where(lies, along[1] * inverse, 0.0)


@overload(dynamics.drag, jit_options=INLINE)
def _drag(m, w, body):
    if not is_planar(m):
        return _box_drag


def _box_drag(m, w, body):
    box = turned(w.rotation[body], m.box_axis[body])
    size = m.box[body]
    diameter = (size[0] + size[1] + size[2]) / 3.0
    centre = plus(w.position[body], rotated(w.rotation[body], m.centre[body]))
    velocity, spin = at_point(w.velocity[body], centre), w.velocity[body][:3]
    viscous = math.pi * m.viscosity * diameter
    force, moment = scaled(velocity, -3.0 * viscous), scaled(spin, -viscous * diameter * diameter)
    pull1, twist1 = _drag_along(m, velocity, spin, box[0::3], (size[0], size[1], size[2]))
    pull2, twist2 = _drag_along(m, velocity, spin, box[1::3], (size[1], size[2], size[0]))
    pull3, twist3 = _drag_along(m, velocity, spin, box[2::3], (size[2], size[0], size[1]))
    force, moment = plus(plus(plus(force, pull1), pull2), pull3), plus(plus(plus(moment, twist1), twist2), twist3)
    return (*plus(moment, cross(centre, force)), *force)


@inline
def _drag_along(m, velocity, spin, axis, size):
    """Return force and moment by which the fluid's inertia resists along an axis of a box, whose size along it comes first."""
    along, across1, across2 = size
    speed, turn = dot(velocity, axis), dot(spin, axis)
    pull = -0.5 * m.density * across1 * across2 * absolute(speed) * speed
    twist = -m.density * along * (across1**4 + across2**4) / 64.0 * absolute(turn) * turn
    return scaled(axis, pull), scaled(axis, twist)


@overload(articulated.free_step, jit_options=INLINE)
def _free_step(m, w, body, matrix, force):
    if not is_planar(m):
        return _solve_free


def _solve_free(m, w, body, matrix, force):
    dof, rotation = m.first_dof[body], w.rotation[body]
    angular = rotated(rotation, (w.push[dof + 3], w.push[dof + 4], w.push[dof + 5]))  # these dofs turn with the body
    push = minus((angular[0], angular[1], angular[2], w.push[dof], w.push[dof + 1], w.push[dof + 2]), force)
    motion = solved(rows_of_matrix(matrix), push)
    w.step[dof], w.step[dof + 1], w.step[dof + 2] = motion[3:]
    w.step[dof + 3] = dot(rotation[0::3], motion[:3])
    w.step[dof + 4] = dot(rotation[1::3], motion[:3])
    w.step[dof + 5] = dot(rotation[2::3], motion[:3])
    return motion, dot(push, motion)
