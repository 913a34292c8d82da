"""Forward kinematics, from the root to the leaves: where bodies are and how they move, and the forces that this motion takes.

Featherstone, table 5.1 (the recursive Newton-Euler algorithm, in coordinates of the world); MuJoCo's `mj_kinematics`, `mj_comPos`
and `mj_comVel`. Positions and vectors are about O, see `model.Workspace`.
"""

from fastars._compiled.jit import inline, routine
from fastars.physics.algebra import body_inertia, cross_force, cross_motion, minus, momentum, plus, rotated, scaled, turned
from fastars.physics.model import HINGE, SLIDE_OF_ROOT, TURN_OF_ROOT


def place_body(m, w, body):
    """Write the origin, position and rotation of a body, and the motion vectors S of its dofs; those of its parent are known."""
    raise NotImplementedError


def hinge_axis(m, dof, rotation):
    """Return the axis of a hinge of a body with this rotation: a direction in space; in the plane 1 or -1, the sense of a turn."""
    raise NotImplementedError


def hinge_turn(m, dof, angle):
    """Return the rotation by an angle about a hinge, in the axes of the body."""
    raise NotImplementedError


def hinge_motion(axis, anchor):
    """Return the motion vector of a turn about an axis through a point."""
    raise NotImplementedError


def slide_motion(direction):
    """Return the motion vector of a translation."""
    raise NotImplementedError


@inline
def place_jointed(m, w, body):
    """Place a body on slides and hinges, one after the other."""
    parent = m.parent[body]
    rotation, position, origin = w.rotation[parent], w.position[parent], w.origin[parent]
    way = rotated(rotation, m.offset[body])
    if parent == 0:
        origin = plus(origin, way)
    else:
        position = plus(position, way)
    if m.is_turned[body]:
        rotation = turned(rotation, m.turn[body])
    for dof in range(m.first_dof[body], m.end_dof[body]):
        moved = w.qpos[m.dof_position[dof]] - m.initial[m.dof_position[dof]]
        if m.dof_kind[dof] == HINGE:
            axis = hinge_axis(m, dof, rotation)
            anchor = plus(position, rotated(rotation, m.anchor[dof]))
            rotation = turned(rotation, hinge_turn(m, dof, moved))
            position = minus(anchor, rotated(rotation, m.anchor[dof]))
            w.motion[dof] = hinge_motion(axis, anchor)
        else:
            direction = rotated(rotation, m.axis[dof])
            w.motion[dof] = slide_motion(direction)
            if m.dof_kind[dof] == SLIDE_OF_ROOT:
                origin = plus(origin, scaled(direction, moved))
            else:
                position = plus(position, scaled(direction, moved))
    w.origin[body], w.position[body], w.rotation[body] = origin, position, rotation


@routine
def move_bodies(m, w):
    """Write positions, velocities and inertias of all bodies, and in `force` what each needs to move so with qacc = 0."""
    for body in range(1, m.n_bodies):
        place_body(m, w, body)
        _write_velocity(m, w, body)
        centre = plus(w.position[body], rotated(w.rotation[body], m.centre[body]))
        inertia = body_inertia(m.mass[body], centre, w.rotation[body], m.rotational[body])
        velocity = w.velocity[body]
        w.inertia[body] = inertia
        momentum_rate = cross_force(velocity, momentum(inertia, velocity))
        w.force[body] = plus(momentum(inertia, w.bias_acceleration[body]), momentum_rate)  # Featherstone 5.9


@inline
def _write_velocity(m, w, body):
    """Add up velocities and accelerations of the joints on the way to a body; the world accelerates against gravity."""
    velocity, acceleration = w.velocity[m.parent[body]], w.bias_acceleration[m.parent[body]]
    moving = velocity  # of the axis
    for dof in range(m.first_dof[body], m.end_dof[body]):
        motion, rate = w.motion[dof], w.qvel[dof]
        acceleration = plus(acceleration, scaled(cross_motion(moving, motion), rate))
        velocity = plus(velocity, scaled(motion, rate))
        if m.dof_kind[dof] != TURN_OF_ROOT:  # the axes of a free body's three are its own: what they add up to turns none of them
            moving = velocity
    w.velocity[body], w.bias_acceleration[body] = velocity, acceleration


@inline
def spread_to_bodies(m, w, values, motions):
    """Write into the table `motions`, for each body, the sum of S x over the dofs on its way to the root, x the table `values`."""
    for body in range(1, m.n_bodies):
        motion = motions[m.parent[body]]
        for dof in range(m.first_dof[body], m.end_dof[body]):
            motion = plus(motion, scaled(w.motion[dof], values[dof]))
        motions[body] = motion
