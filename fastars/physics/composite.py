"""A step of Newton's method where bodies of one branch may touch each other: with the matrix over the dofs.

A row between a body and an ancestor of it couples all dofs on the way from one to the other, which the articulated-body algorithm
can't take. So the composite-rigid-body algorithm (Featherstone, table 6.2) makes the Hessian, and its factor L' D L is in the
pattern of the tree (table 6.3).
"""

from fastars._compiled.jit import inline, part, routine
from fastars._compiled.tables import constant
from fastars.physics.algebra import dot, plus, times
from fastars.physics.constraints import active_limit_stiffness, active_stiffness
from fastars.physics.kinematics import spread_to_bodies
from fastars.physics.model import GROUPS, LIMITS


@part
def newton_step_with_pairs(m, w):
    """Write a step of Newton's method: `step` and `step_acceleration`. Return the slope of the cost along it.

    The bodies' `composite` and `force`, by `push_bodies`, are used up.
    """
    write_newton_system(m, w)
    factorise(m, w)
    solve(m, w)
    spread_to_bodies(m, w, w.step, w.step_acceleration)
    slope = constant(w, 0.0)
    for dof in range(m.n_dofs):
        slope = slope + w.step[dof] * w.gradient[dof]
    return slope


@routine
def write_newton_system(m, w):
    """Write the gradient, minus the gradient as the right side in `step`, and the Hessian."""
    for body in range(m.n_bodies - 1, 0, -1):
        force = w.force[body]
        for dof in range(m.first_dof[body], m.end_dof[body]):
            inertial = dot(w.motion[dof], force) + m.armature[dof] * w.acceleration_of_dof[dof]
            w.gradient[dof] = inertial - w.smooth[dof]
        if m.parent[body] > 0:
            w.force[m.parent[body]] = plus(w.force[m.parent[body]], force)
        write_composite(m, w, body)
    for dof in range(m.n_dofs):
        diagonal = dof * m.n_dofs + dof
        w.hessian[diagonal] = w.hessian[diagonal] + m.armature[dof]
    for k in range(w.counts[LIMITS]):
        dof, stiffness = w.limit_dof[k], active_limit_stiffness(w, k)
        diagonal = dof * m.n_dofs + dof
        w.gradient[dof] = w.gradient[dof] + w.limit_sign[k] * (stiffness * w.limit_residual[k])
        w.hessian[diagonal] = w.hessian[diagonal] + stiffness
    _add_pairs(m, w)
    for dof in range(m.n_dofs):
        w.step[dof] = -w.gradient[dof]


@inline
def _add_pairs(m, w):
    """Add the rows between a body and an ancestor to the Hessian: they see the dofs on the way from one to the other."""
    row = 0
    for group in range(w.counts[GROUPS]):
        if w.group_ancestor[group] > 0:
            stiffness, wrench = active_stiffness(w, row), w.row_wrench[row]
            last, i = m.last_dof[w.group_ancestor[group]], m.last_dof[w.group_body[group]]
            while i > last:
                push = stiffness * dot(w.motion[i], wrench)
                j = i
                while j > last:
                    entry = i * m.n_dofs + j
                    w.hessian[entry] = w.hessian[entry] + push * dot(w.motion[j], wrench)
                    j = m.dof_parent[j]
                i = m.dof_parent[i]
        row = w.group_end[group]


@inline
def write_composite(m, w, body):
    """Write the Hessian's rows of the dofs of a body, whose `composite` is complete, and add that to its parent's."""
    composite = w.composite[body]
    for dof in range(m.first_dof[body], m.end_dof[body]):
        force = times(composite, w.motion[dof])
        other = dof
        while other >= 0:
            w.hessian[dof * m.n_dofs + other] = dot(w.motion[other], force)
            other = m.dof_parent[other]
    if m.parent[body] > 0:
        w.composite[m.parent[body]] = plus(w.composite[m.parent[body]], composite)


@routine
def factorise(m, w):
    """Replace the matrix in `hessian` by L of its factor L' D L, and write 1 / D. It has the tree's pattern."""
    n = m.n_dofs
    for k in range(n - 1, -1, -1):
        inverse = 1.0 / w.hessian[k * n + k]
        w.inverse_pivot[k] = inverse
        i = m.dof_parent[k]
        while i >= 0:
            entry = w.hessian[k * n + i] * inverse
            j = i
            while j >= 0:
                w.hessian[i * n + j] = w.hessian[i * n + j] - entry * w.hessian[k * n + j]
                j = m.dof_parent[j]
            w.hessian[k * n + i] = entry
            i = m.dof_parent[i]


@routine
def solve(m, w):
    """Replace b in `step` by the solution x of L' D L x = b."""
    n = m.n_dofs
    for k in range(n - 1, -1, -1):
        x = w.step[k]
        i = m.dof_parent[k]
        while i >= 0:
            w.step[i] = w.step[i] - w.hessian[k * n + i] * x
            i = m.dof_parent[i]
    for k in range(n):
        x = w.step[k] * w.inverse_pivot[k]
        i = m.dof_parent[k]
        while i >= 0:
            x = x - w.hessian[k * n + i] * w.step[i]
            i = m.dof_parent[i]
        w.step[k] = x
