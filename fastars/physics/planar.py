"""The algebra of the plane, and its joints. Directions are `u` and `w`, and a turn goes from u to w.

Each function of `algebra` compiles to the formula here where its tuples are those of the plane.
"""

import math

from numba.extending import overload

from fastars._compiled.jit import INLINE, inline
from fastars._compiled.simd import absolute
from fastars._compiled.trig import sincos_wide
from fastars.physics import algebra, articulated, contacts, dynamics, integrators, kinematics, outputs
from fastars.physics.constraints import add_row


@overload(algebra.rotated, jit_options=INLINE)
def _rotated(rotation, x):
    if len(rotation) == 2:
        return lambda rotation, x: (rotation[0] * x[0] - rotation[1] * x[1], rotation[1] * x[0] + rotation[0] * x[1])


@overload(algebra.turned, jit_options=INLINE)
def _turned(rotation, relative):
    if len(rotation) == 2:
        return lambda rotation, relative: (
            rotation[0] * relative[0] - rotation[1] * relative[1],
            rotation[1] * relative[0] + rotation[0] * relative[1],
        )


@overload(algebra.cross_motion, jit_options=INLINE)
def _cross_motion(v, s):
    if len(v) == 3:
        return lambda v, s: (0.0, s[0] * v[2] - v[0] * s[2], v[0] * s[1] - s[0] * v[1])


@overload(algebra.cross_force, jit_options=INLINE)
def _cross_force(v, f):
    if len(v) == 3:
        return lambda v, f: (v[1] * f[2] - v[2] * f[1], -(v[0] * f[2]), v[0] * f[1])


@overload(algebra.at_point, jit_options=INLINE)
def _at_point(v, point):
    if len(v) == 3:
        return lambda v, point: (v[1] - v[0] * point[1], v[2] + v[0] * point[0])


@overload(algebra.wrench, jit_options=INLINE)
def _wrench(point, force):
    if len(point) == 2:
        return lambda point, force: (point[0] * force[1] - point[1] * force[0], force[0], force[1])


@overload(algebra.body_inertia, jit_options=INLINE)
def _body_inertia(mass, centre, rotation, rotational):
    if len(centre) == 2:

        def inertia(mass, centre, rotation, rotational):
            u, w = centre[0] * mass, centre[1] * mass
            return rotational + u * centre[0] + w * centre[1], u, w, mass

        return inertia


@overload(algebra.momentum, jit_options=INLINE)
def _momentum(inertia, v):
    if len(v) == 3:

        def product(inertia, v):
            rotational, u, w, mass = inertia
            return rotational * v[0] + u * v[2] - w * v[1], mass * v[1] - v[0] * w, mass * v[2] + v[0] * u

        return product


@overload(algebra.inertia_matrix, jit_options=INLINE)
def _inertia_matrix(inertia):
    if len(inertia) == 4:
        return lambda inertia: (inertia[0], -inertia[2], inertia[1], inertia[3], 0.0, inertia[3])


@overload(algebra.outer, jit_options=INLINE)
def _outer(x, f):
    if len(f) == 3:

        def product(x, f):
            o, u, w = f
            xo, xu, xw = x * o, x * u, x * w
            return xo * o, xo * u, xo * w, xu * u, xu * w, xw * w

        return product


@overload(algebra.times, jit_options=INLINE)
def _times(matrix, s):
    if len(s) == 3:

        def product(matrix, s):
            oo, ou, ow, uu, uw, ww = matrix
            o, u, w = s
            return oo * o + ou * u + ow * w, ou * o + uu * u + uw * w, ow * o + uw * u + ww * w

        return product


def is_planar(tables):
    """Return True for the Numba type of the tables of a planar model."""
    return dict(tables.members)["gravity"].width == 3


@overload(kinematics.place_body, jit_options=INLINE)
def _place_body(m, w, body):
    if is_planar(m):
        return lambda m, w, body: kinematics.place_jointed(m, w, body)


@overload(kinematics.hinge_axis, jit_options=INLINE)
def _hinge_axis(m, dof, rotation):
    if is_planar(m):
        return lambda m, dof, rotation: m.sign[dof]


@overload(kinematics.hinge_turn, jit_options=INLINE)
def _hinge_turn(m, dof, angle):
    if is_planar(m):
        return _turn


def _turn(m, dof, angle):
    sine, cosine = sincos_wide(angle * m.sign[dof])
    return cosine, sine


@overload(kinematics.hinge_motion, jit_options=INLINE)
def _hinge_motion(axis, anchor):
    if len(anchor) == 2:
        return lambda axis, anchor: (axis, anchor[1] * axis, -anchor[0] * axis)


@overload(kinematics.slide_motion, jit_options=INLINE)
def _slide_motion(direction):
    if len(direction) == 2:
        return lambda direction: (0.0, direction[0], direction[1])


@overload(dynamics.drag, jit_options=INLINE)
def _drag(m, w, body):
    if is_planar(m):
        return _box_drag


def _box_drag(m, w, body):
    size1, size2, depth = m.box[body]
    diameter = (size1 + size2 + depth) / 3.0
    along1 = algebra.rotated(w.rotation[body], m.box_axis[body])
    along2 = (-along1[1], along1[0])
    centre = algebra.plus(w.position[body], algebra.rotated(w.rotation[body], m.centre[body]))
    velocity, spin = algebra.at_point(w.velocity[body], centre), w.velocity[body][0]
    speed1, speed2 = algebra.dot(velocity, along1), algebra.dot(velocity, along2)
    viscous = -3.0 * math.pi * m.viscosity * diameter
    force1 = viscous * speed1 - 0.5 * m.density * size2 * depth * absolute(speed1) * speed1
    force2 = viscous * speed2 - 0.5 * m.density * size1 * depth * absolute(speed2) * speed2
    torque = -math.pi * m.viscosity * diameter * diameter * diameter * spin
    torque = torque - m.density * depth * (size1**4 + size2**4) / 64.0 * absolute(spin) * spin
    force = algebra.plus(algebra.scaled(along1, force1), algebra.scaled(along2, force2))
    moment, u, w_ = algebra.wrench(centre, force)
    return moment + torque, u, w_


@overload(articulated.free_step, jit_options=INLINE)
def _free_step(m, w, body, matrix, force):
    if is_planar(m):
        return lambda m, w, body, matrix, force: (force, force[0])  # no body of a planar model is free


@overload(integrators.bend_rates, jit_options=INLINE)
def _bend_rates(m, w):
    if is_planar(m):
        return lambda m, w: None


@overload(contacts.height, jit_options=INLINE)
def _height(m, w, body, point):
    if is_planar(m):
        return lambda m, w, body, point: w.origin[body][0] + point[0]


@overload(contacts.lowered, jit_options=INLINE)
def _lowered(point, by):
    if len(point) == 2:
        return lambda point, by: (point[0] - by, point[1])


@overload(contacts.add_edges, jit_options=INLINE)
def _add_edges(m, w, contact, point, motion, stiffness, reference):
    if is_planar(m):
        return _add_planar_edges


def _add_planar_edges(m, w, contact, point, motion, stiffness, reference):
    friction = m.contact_friction[contact]
    if friction > 0.0:
        add_row(w, motion, algebra.wrench(point, (1.0, friction)), stiffness, reference)
        add_row(w, motion, algebra.wrench(point, (1.0, -friction)), stiffness, reference)
        # The two edges whose tangent is the plane's normal push along the floor's normal.
        add_row(w, motion, algebra.wrench(point, (1.0, 0.0)), stiffness + stiffness, reference)
    else:
        add_row(w, motion, algebra.wrench(point, (1.0, 0.0)), stiffness, reference)


@overload(integrators.move_positions, jit_options=INLINE)
def _move_positions(m, w, start, velocity, time):
    if is_planar(m):
        return _move_planar_positions


def _move_planar_positions(m, w, start, velocity, time):
    for dof in range(m.n_dofs):
        w.qpos[m.dof_position[dof]] = start[m.dof_position[dof]] + time * velocity[dof]


@overload(outputs.in_world, jit_options=INLINE)
def _in_world(m, point, depth):
    if is_planar(m):
        return _point_of_plane


def _point_of_plane(m, point, depth):
    u, w, normal = m.axes[0], m.axes[1], m.axes[2]
    in_plane = algebra.plus(algebra.scaled(u, point[0]), algebra.scaled(w, point[1]))
    return algebra.plus(in_plane, algebra.scaled(normal, depth))


@overload(outputs.write_contact_forces, jit_options=INLINE)
def _write_contact_forces(m, w, place):
    if is_planar(m):
        return _write_planar_forces


def _write_planar_forces(m, w, place):
    for frame in range(1, m.n_frames):
        _write_planar_force(m, w, place, m.frame_number[frame], w.origin[frame], m.depth[frame], w.force[frame])
    if m.floor_body > 0 and m.n_contacts > 0:  # what the contacts do to the floor is in the world's row
        frame = m.contact_frame[0]
        _write_planar_force(m, w, place, m.floor_body, w.origin[frame], m.depth[frame], w.force[0])


@inline
def _write_planar_force(m, w, place, number, origin, depth, force):
    """Write moment and force, the moment about the centre of mass of the body's tree: `mj_rnePostConstraint`.

    Contacts are taken to lie as deep as the body's origin: their own depth is not known here.
    """
    entry, first = place + 6 * number, 10 * m.n_frames + 3 * m.n_sites + 3 * m.tree_root[number]  # in `subtree_com`
    centre = w.output[first], w.output[first + 1], w.output[first + 2]
    arm_u, arm_w = origin[0] - algebra.dot(m.axes[0], centre), origin[1] - algebra.dot(m.axes[1], centre)
    deeper = depth - algebra.dot(m.axes[2], centre)
    moment = (-deeper * force[2], deeper * force[1], force[0] + arm_u * force[2] - arm_w * force[1])
    for k in range(3):
        u, v, n = m.axes[0][k], m.axes[1][k], m.axes[2][k]
        w.output[entry + k] = moment[0] * u + moment[1] * v + moment[2] * n
        w.output[entry + 3 + k] = force[1] * u + force[2] * v


@overload(outputs.write_root_orientation, jit_options=INLINE)
def _write_root_orientation(m, w, body):
    if is_planar(m):
        return lambda m, w, body: False
