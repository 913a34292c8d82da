"""Forward kinematics, from the root to the leaves: where bodies are and how they move, and the forces that this motion takes.

Featherstone, table 5.1 (the recursive Newton-Euler algorithm, in coordinates of the world); MuJoCo's `mj_kinematics`, `mj_comPos`
and `mj_comVel`. Positions and vectors are about O, see `model.Workspace`.
"""

from fastars._compiled.jit import inline, routine
from fastars.physics.algebra import body_inertia, cross_force, cross_motion, momentum, plus, rotated, scaled
from fastars.physics.model import TURN_OF_ROOT


def place_body(m, w, body):
    """Write the origin, position and rotation of a body, and the motion vectors S of its dofs; those of its parent are known."""
    raise NotImplementedError


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
