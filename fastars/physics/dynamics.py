"""Forces on the degrees of freedom, but those of constraints: MuJoCo's `qfrc_smooth`, that is passive + actuator - bias.

Also the composite-body algorithm (Featherstone, table 6.2), which gives the mass matrix, and the factor L' D L of a matrix in the
pattern of the tree (table 6.3).
"""

from fastars._compiled.jit import inline, routine
from fastars._compiled.simd import where
from fastars._compiled.tables import constant
from fastars.physics.algebra import dot, inertia_matrix, minus, plus, times


def drag(m, w, body):
    """Return the force vector with which a fluid at rest acts on the box of a body: MuJoCo's "inertia-based fluid model"."""
    raise NotImplementedError


@routine
def write_smooth_forces(m, w):
    """Write `actuation` and `smooth`. The bodies' `force`, by `move_bodies`, is used up."""
    if m.has_fluid:
        for body in range(1, m.n_bodies):
            w.force[body] = minus(w.force[body], drag(m, w, body))
    _write_actuation(m, w)
    for body in range(m.n_bodies - 1, 0, -1):
        force = w.force[body]
        for dof in range(m.first_dof[body], m.end_dof[body]):
            spring = m.stiffness[dof] * (w.qpos[m.dof_position[dof]] - m.spring_reference[dof])
            passive = -spring - m.damping[dof] * w.qvel[dof]
            w.smooth[dof] = passive - dot(w.motion[dof], force) + w.actuation[dof]
        if m.parent[body] > 0:
            w.force[m.parent[body]] = plus(w.force[m.parent[body]], force)


@inline
def _write_actuation(m, w):
    for dof in range(m.n_dofs):
        w.actuation[dof] = constant(w, 0.0)
    for k in range(m.n_controls):
        dof = m.control_dof[k]
        w.actuation[dof] = w.actuation[dof] + m.control_gain[k] * clamped_control(m, w, k)


@inline
def clamped_control(m, w, k):
    """Return a control within its range. NaN stays NaN."""
    lowest, highest = m.control_range[k]
    control = w.ctrl[k]
    control = where(control < lowest, lowest, control)
    return where(control > highest, highest, control)


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
def write_damped_mass(m, w):
    """Write the matrix M + h diag(damping) into `hessian`, h the time step."""
    for body in range(1, m.n_bodies):
        w.composite[body] = inertia_matrix(w.inertia[body])
    for body in range(m.n_bodies - 1, 0, -1):
        write_composite(m, w, body)
    for dof in range(m.n_dofs):
        diagonal = dof * m.n_dofs + dof
        w.hessian[diagonal] = w.hessian[diagonal] + (m.armature[dof] + m.timestep * m.damping[dof])


@routine
def factorise(m, w):
    """Replace the matrix in `hessian` by L of its factor L' D L, and write 1 / D. Entries outside the tree's pattern are not there."""
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
