"""Forward dynamics: from a state and controls to accelerations. mj_forward.

MuJoCo's documentation, "Computation", "Simulation pipeline", "Forward dynamics".
"""

from typing import Any, NamedTuple

import numpy as np

from .constraints import constraint_rows
from .contacts import contacts
from .dynamics import mass_matrix, smooth_force
from .kinematics import Kinematics, forward_kinematics
from .solver import constrained_acceleration


class Forward(NamedTuple):
    """Results of a forward pass, in the names of mjData."""

    kinematics: Kinematics
    mass_matrix: Any  # (nv, nv)
    qfrc_smooth: Any  # (nv,) all forces but those of constraints
    qfrc_actuator: Any  # (nv,)
    qfrc_constraint: Any  # (nv,)
    qacc: Any  # (nv,)
    cfrc_ext: Any  # (nbody, 6) torque and force of contacts on each body, about its tree's centre of mass


def forward(model, qpos, qvel, ctrl, version):
    """Return the `Forward` of a state: positions, forces without constraints, constraints, accelerations. `version` is (4, 0)."""
    kinematics = forward_kinematics(model, qpos)
    mass = mass_matrix(model, kinematics)
    smooth, motors = smooth_force(model, kinematics, qpos, qvel, ctrl)
    touching = contacts(model, kinematics, version)
    rows = constraint_rows(model, kinematics, touching, qpos, qvel)
    qacc, row_forces = constrained_acceleration(mass, smooth, rows)
    external = contact_wrenches(model, kinematics, touching, row_forces)
    return Forward(kinematics, mass, smooth, motors, rows.jacobian.T @ row_forces, qacc, external)


def contact_wrenches(model, kinematics, touching, row_forces):
    """Return cfrc_ext (nbody, 6): the contacts' torques and forces on each body, about the centre of mass of its whole tree."""
    result = np.zeros((model.nbody, 6))
    n_rows = [1 if contact.dim == 1 else 4 for contact in touching]
    at = len(row_forces) - sum(n_rows)  # the limits come first
    for contact, n in zip(touching, n_rows, strict=True):
        force = force_of_edges(contact, row_forces[at : at + n])
        for body, sign in zip(contact.bodies, (-1, 1), strict=True):
            if body > 0:
                arm = contact.position - kinematics.subtree_com[model.body_rootid[body]]
                result[body] += sign * np.concatenate([np.cross(arm, force), force])
        at += n
    return result


def force_of_edges(contact, forces):
    """Return the force (3,) on the second body of a contact, in the axes of the world."""
    if contact.dim == 1:
        return forces[0] * contact.frame[0]
    mu = contact.friction
    return np.array([forces.sum(), mu * (forces[0] - forces[1]), mu * (forces[2] - forces[3])]) @ contact.frame
