"""Rows of the constraint Jacobian, with their regularization and reference acceleration.

MuJoCo's documentation, "Computation", "Constraint model": limits, contacts with pyramidal friction cones; "Constraint solver",
"Parameters" for R and aref. A row pulls where J qacc < aref.
"""

from typing import Any, NamedTuple

import numpy as np

from .kinematics import FREE, jacobian

LEAST, MOST, TINY = 1e-4, 0.9999, 1e-15  # mjMINIMP, mjMAXIMP, mjMINVAL


class Rows(NamedTuple):
    """All rows, those of the limits first, then those of the contacts in their order."""

    jacobian: Any  # (n_rows, nv)
    stiffness: Any  # (n_rows,) D = 1 / R
    aref: Any  # (n_rows,)


def constraint_rows(model, kinematics, contacts, qpos, qvel):
    """Return the `Rows` of a state."""
    rows = limit_rows(model, qpos, qvel) + [row for contact in contacts for row in contact_rows(model, kinematics, contact, qvel)]
    jacobians, regularizers, references = zip(*rows, strict=True) if rows else ((), (), ())
    return Rows(np.array(jacobians).reshape(-1, model.nv), 1 / np.array(regularizers), np.array(references))


def limit_rows(model, qpos, qvel):
    """Return a row (J, R, aref) for each joint limit nearer than the joint's margin. "Limit"."""
    rows = []
    for joint in range(model.njnt):
        if not model.jnt_limited[joint] or model.jnt_type[joint] == FREE:
            continue
        dof, value = model.jnt_dofadr[joint], qpos[model.jnt_qposadr[joint]]
        low, high = model.jnt_range[joint]
        for distance, side in ((value - low, 1.0), (high - value, -1.0)):
            gap = distance - model.jnt_margin[joint]
            if gap < 0:
                row = np.zeros(model.nv)
                row[dof] = side
                spring = reference(model.jnt_solref[joint], model.jnt_solimp[joint], gap, model.opt.timestep)
                regularizer, aref = regularized(spring, model.dof_invweight0[dof], gap, row @ qvel)
                rows.append((row, regularizer, aref))
    return rows


def contact_rows(model, kinematics, contact, qvel):
    """Return the rows (J, R, aref) of a contact: its normal, or the four edges normal +- friction x tangent. "Contact"."""
    (linear1, _), (linear2, _) = (jacobian(model, kinematics, body, contact.position) for body in contact.bodies)
    normal, *tangents = contact.frame @ (linear2 - linear1)
    gap = contact.distance - contact.margin
    spring = reference(contact.solref, contact.solimp, gap, model.opt.timestep)
    weight = sum(model.body_invweight0[body, 0] for body in contact.bodies)
    if contact.dim == 1:
        return [(normal, *regularized(spring, weight, gap, normal @ qvel))]
    mu = contact.friction
    edges = [normal + sign * mu * tangent for tangent in tangents for sign in (1, -1)]
    of_edge, _ = regularized(spring, weight + mu**2 * weight, gap, 0.0)
    of_pyramid = 2 * mu**2 / model.opt.impratio * of_edge  # all edges have the softness of the elliptic cone's normal
    return [(edge, of_pyramid, regularized(spring, weight, gap, edge @ qvel)[1]) for edge in edges]


class Spring(NamedTuple):
    """Impedance d and the coefficients of the reference: aref = -b velocity - k d gap."""

    d: float
    b: float
    k: float


def reference(solref, solimp, gap, timestep):
    """Return the `Spring` for a gap below the margin: chapter "Modeling", "Solver parameters", positive solref.

    b = 2 / (dmax timeconst), k = 1 / (dmax timeconst dampratio)^2; the time constant is at least two timesteps.
    """
    timeconst, dampratio = max(solref[0], 2 * timestep), solref[1]
    low, high, midpoint = (min(MOST, max(LEAST, solimp[i])) for i in (0, 1, 3))
    width, power = max(0.0, solimp[2]), max(1.0, solimp[4])
    d = impedance(gap, low, high, width, midpoint, power)
    return Spring(d, 2 / max(TINY, high * timeconst), 1 / max(TINY, (high * timeconst * dampratio) ** 2))


def impedance(gap, low, high, width, midpoint, power):
    """Return d(gap): from low to high over the width, two powers that meet at the midpoint."""
    if low == high or width <= TINY:
        return (low + high) / 2
    x = abs(gap) / width
    if x >= 1:
        return high
    if power == 1:
        y = x
    elif x <= midpoint:
        y = x**power / midpoint ** (power - 1)
    else:
        y = 1 - (1 - x) ** power / (1 - midpoint) ** (power - 1)
    return low + y * (high - low)


def regularized(spring, weight, gap, velocity):
    """Return (R, aref) of a row: R = (1 - d) / d x the approximate inverse mass that it feels."""
    return max(TINY, (1 - spring.d) / spring.d * weight), -spring.b * velocity - spring.k * spring.d * gap
