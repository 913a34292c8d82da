"""A step of Newton's method by the articulated-body algorithm (Featherstone, chapter 7): no matrix over the dofs is formed.

The cost along a step is a quadratic function of all bodies' accelerations. From the leaves to the root, it is minimised over the
dofs of a body, for any acceleration A of its parent: what is left is a quadratic A' K A / 2 + f' A, which is added to the parent's.
From the root to the leaves, each dof then follows from A. It takes a pass over the bodies, where a matrix has entries for all pairs of
dofs on a branch.
"""

from fastars._compiled.jit import inline, routine
from fastars._compiled.simd import where
from fastars._compiled.tables import constant
from fastars.physics.algebra import dot, minus, outer, plus, scaled, times


def free_step(m, w, body, matrix, force):
    """Write the steps of a free body's dofs; return the body's step A, which minimises A' K A / 2 + f' A - forces, and the slope."""
    raise NotImplementedError


@routine
def articulated_step(m, w):
    """Write `step` and `step_acceleration` from the bodies' `composite` and `force`, which are used up; return the slope along it."""
    _write_limit_terms(m, w)
    slope = constant(w, 0.0)
    for body in range(m.n_bodies - 1, 0, -1):
        if not m.is_floating[body]:
            slope = slope + _eliminate(m, w, body)
    for body in range(1, m.n_bodies):
        if m.is_floating[body]:
            motion, fall = free_step(m, w, body, w.composite[body], w.force[body])
            slope = slope + fall
        else:
            motion = w.step_acceleration[m.parent[body]]
            for dof in range(m.first_dof[body], m.end_dof[body]):
                step = (w.gradient[dof] - dot(w.reach[dof], motion)) * w.inverse_pivot[dof]
                w.step[dof] = step
                motion = plus(motion, scaled(w.motion[dof], step))
        w.step_acceleration[body] = motion
    return slope


@inline
def _write_limit_terms(m, w):
    """Write the part of limits and of forces on dofs in the gradient and in the diagonal of the Hessian."""
    for dof in range(m.n_dofs):
        w.gradient[dof] = w.smooth[dof] - m.armature[dof] * w.acceleration_of_dof[dof]
        w.inverse_pivot[dof] = constant(w, 0.0) + m.armature[dof]
    for k in range(w.counts[2]):
        dof, residual = w.active_limit[k], w.limit_residual[k]
        stiffness = where(residual < 0.0, w.limit_weight[k], 0.0)
        w.gradient[dof] = w.gradient[dof] - w.limit_sign[k] * (stiffness * residual)
        w.inverse_pivot[dof] = w.inverse_pivot[dof] + stiffness


@inline
def _eliminate(m, w, body):
    """Minimise over the dofs of a body; return the slope of what that wins."""
    matrix, force, slope = w.composite[body], w.force[body], constant(w, 0.0)
    for dof in range(m.end_dof[body] - 1, m.first_dof[body] - 1, -1):
        reach = times(matrix, w.motion[dof])
        inverse = 1.0 / (dot(w.motion[dof], reach) + w.inverse_pivot[dof])
        push = w.gradient[dof] - dot(w.motion[dof], force)
        matrix = minus(matrix, outer(inverse, reach))
        force = plus(force, scaled(reach, push * inverse))
        w.reach[dof], w.inverse_pivot[dof], w.gradient[dof] = reach, inverse, push
        slope = slope - push * push * inverse
    parent = m.parent[body]
    if parent > 0:
        w.composite[parent] = plus(w.composite[parent], matrix)
        w.force[parent] = plus(w.force[parent], force)
    return slope
