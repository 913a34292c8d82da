"""A step of Newton's method by the articulated-body algorithm (Featherstone, chapter 7): no matrix over the dofs is formed.

The cost along a step is a quadratic function of all bodies' accelerations. From the leaves to the root, it is minimised over the
dofs of a body, for any acceleration A of its parent: what is left is a quadratic A' K A / 2 + f' A, which is added to the parent's.
From the root to the leaves, each dof then follows from A. It takes a pass over the bodies, where a matrix has entries for all pairs
of dofs on a branch.
"""

from fastars._compiled.jit import inline, part, routine
from fastars._compiled.tables import constant
from fastars.physics.algebra import dot, inertia_matrix, minus, outer, plus, scaled, times
from fastars.physics.constraints import active_limit_stiffness
from fastars.physics.model import LIMITS


def free_step(m, w, body, matrix, force):
    """Write the steps of a free body's dofs; return the body's own, A, and u' A."""
    raise NotImplementedError


@part
def newton_step(m, w):
    """Write a step of Newton's method: `step` and `step_acceleration`. Return the slope of the cost along it.

    The bodies' `composite` and `force`, by `push_bodies`, are used up.
    """
    for dof in range(m.n_dofs):
        w.push[dof] = w.smooth[dof] - m.armature[dof] * w.acceleration_of_dof[dof]
        w.diagonal[dof] = m.armature[dof]
    for k in range(w.counts[LIMITS]):
        dof, stiffness = w.limit_dof[k], active_limit_stiffness(w, k)
        w.push[dof] = w.push[dof] - w.limit_sign[k] * (stiffness * w.limit_residual[k])
        w.diagonal[dof] = w.diagonal[dof] + stiffness
    return solve_articulated(m, w)


@part
def damping_step(m, w):
    """Write into `step` what implicit damping takes from qacc: x of (M + h D) x = h D qacc, h the time step, D the damping.

    Then a = qacc - x is the acceleration of (M + h D) a = M qacc.
    """
    for body in range(1, m.n_bodies):
        w.composite[body] = inertia_matrix(w.inertia[body])
        w.force[body] = w.velocity[0]  # no force
    for dof in range(m.n_dofs):
        damping = m.timestep * m.damping[dof]
        w.push[dof] = damping * w.acceleration_of_dof[dof]
        w.diagonal[dof] = m.armature[dof] + damping
    solve_articulated(m, w)


@routine
def solve_articulated(m, w):
    """Minimise: over the bodies A' K A / 2 + f' A, and over the dofs d x**2 / 2 - u x. Return -u' x at the minimum.

    K is `composite`, f `force`, d `diagonal`, u `push`. All but d are used up.
    """
    slope = constant(w, 0.0)
    for body in range(m.n_bodies - 1, 0, -1):
        if not m.is_floating[body]:
            slope = slope - _eliminate(m, w, body)
    for body in range(1, m.n_bodies):
        if m.is_floating[body]:
            motion, gain = free_step(m, w, body, w.composite[body], w.force[body])
            slope = slope - gain
        else:
            motion = w.step_acceleration[m.parent[body]]
            for dof in range(m.first_dof[body], m.end_dof[body]):
                w.step[dof] = (w.push[dof] - dot(w.reach[dof], motion)) * w.inverse_pivot[dof]
                motion = plus(motion, scaled(w.motion[dof], w.step[dof]))
        w.step_acceleration[body] = motion
    return slope


@inline
def _eliminate(m, w, body):
    """Minimise over the dofs of a body, the last first, for any acceleration of its parent. Return the sum of u**2 / d."""
    matrix, force, gain = w.composite[body], w.force[body], constant(w, 0.0)
    for dof in range(m.end_dof[body] - 1, m.first_dof[body] - 1, -1):
        reach = times(matrix, w.motion[dof])
        inverse = 1.0 / (dot(w.motion[dof], reach) + w.diagonal[dof])
        push = w.push[dof] - dot(w.motion[dof], force)
        matrix = minus(matrix, outer(inverse, reach))
        force = plus(force, scaled(reach, push * inverse))
        w.reach[dof], w.inverse_pivot[dof], w.push[dof] = reach, inverse, push
        gain = gain + push * push * inverse
    parent = m.parent[body]
    if parent > 0:
        w.composite[parent] = plus(w.composite[parent], matrix)
        w.force[parent] = plus(w.force[parent], force)
    return gain
