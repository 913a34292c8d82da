"""Forces on the degrees of freedom, but those of constraints: MuJoCo's `qfrc_smooth`, that is passive + actuator - bias."""

from fastars._compiled.jit import inline, routine
from fastars._compiled.simd import where
from fastars._compiled.tables import constant
from fastars.physics.algebra import dot, minus, plus


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
