"""One step in time: mj_step.

MuJoCo's documentation, "Computation", "Numerical integration": the semi-implicit Euler method with implicit damping, and the
Runge-Kutta method of fourth order.
"""

from typing import Any, NamedTuple

import numpy as np

from .dynamics import damping
from .forward import Forward, forward
from .kinematics import FREE, multiply, turn

EULER, RK4 = 0, 1  # mjtIntegrator


class Step(NamedTuple):
    """The state after one timestep."""

    qpos: Any  # (nq,)
    qvel: Any  # (nv,)
    qacc: Any  # (nv,) as mjData has it afterwards
    last: Forward  # the last forward pass on the way; its qacc is the next step's warm start


def step(model, qpos, qvel, ctrl, mujoco_version):
    """Return the `Step` that follows a state. `mujoco_version` is a string, as "4.0.0"; see `version_of` for the differences."""
    integrate = runge_kutta if model.opt.integrator == RK4 else euler
    return integrate(model, qpos, qvel, ctrl, version_of(mujoco_version))


def version_of(text):
    """Return (major, minor) of a version of MuJoCo.

    3.5 changed the margins of pairs, 3.16 and 3.17 the contacts of parallel capsules, 4.0 Runge-Kutta and the qacc after it.
    """
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def is_bad(values):
    """Return True if MuJoCo takes the numbers as a sign of divergence, and resets: NaN, or beyond 1e10."""
    return not bool(np.all(np.abs(values) <= 1e10))


def euler(model, qpos, qvel, ctrl, version):
    """Semi-implicit Euler: (M + h B) qacc = tau - c + J' f with the damping B, qvel += h qacc, qpos += h qvel."""
    now = forward(model, qpos, qvel, ctrl, version)
    h, force = model.opt.timestep, now.qfrc_smooth + now.qfrc_constraint
    dampers = damping(model)
    acceleration = np.linalg.solve(now.mass_matrix + h * np.diag(dampers), force) if np.any(dampers > 0) else now.qacc
    qvel = qvel + h * acceleration
    return Step(advanced(model, qpos, qvel, h), qvel, now.qacc, now)


def runge_kutta(model, qpos, qvel, ctrl, version):
    """Runge-Kutta: four forward passes, at the start, twice in the middle, and at the end.

    A position that has a quaternion is the start moved along a velocity. From version 4 on, the velocity of a stage is the
    derivative of that rotation vector (Munthe-Kaas); before, it was the stage's qvel as it stands. From version 4 on, qacc is the
    mean acceleration.
    """
    h, is_new = model.opt.timestep, version >= (4, 0)
    ahead, weights = (0.0, 0.5, 0.5, 1.0), (1 / 6, 1 / 3, 1 / 3, 1 / 6)
    velocity, acceleration = np.zeros(model.nv), np.zeros(model.nv)
    velocities, accelerations = np.zeros(model.nv), np.zeros(model.nv)
    for part, weight in zip(ahead, weights, strict=True):
        moved = h * part * velocity
        stage_qvel = qvel + h * part * acceleration
        now = forward(model, advanced(model, qpos, velocity, h * part), stage_qvel, ctrl, version)
        velocity = rotation_rates(model, moved, stage_qvel) if is_new else stage_qvel
        acceleration = now.qacc
        velocities += weight * velocity
        accelerations += weight * acceleration
    qacc = accelerations if is_new else now.qacc
    return Step(advanced(model, qpos, velocities, h), qvel + h * accelerations, qacc, now)


def advanced(model, qpos, qvel, h):
    """Return qpos moved along a velocity for the time h. mj_integratePos."""
    result = np.array(qpos, np.float64)
    for joint in range(model.njnt):
        at, i = model.jnt_qposadr[joint], model.jnt_dofadr[joint]
        if model.jnt_type[joint] == FREE:
            result[at : at + 3] += h * qvel[i : i + 3]
            result[at + 3 : at + 7] = turned(result[at + 3 : at + 7], h * qvel[i + 3 : i + 6])
        else:
            result[at] += h * qvel[i]
    return result


def turned(quat, vector):
    """Return a quaternion turned by a rotation vector in the axes of the body."""
    angle = np.linalg.norm(vector)
    quat = quat / np.linalg.norm(quat)
    return multiply(quat, turn(vector / angle, angle)) if angle > 1e-15 else quat


def rotation_rates(model, moved, qvel):
    """Return qvel with angular velocities of free joints replaced by the rates of their rotation vectors."""
    result = np.array(qvel, np.float64)
    for joint in range(model.njnt):
        if model.jnt_type[joint] == FREE:
            i = model.jnt_dofadr[joint] + 3
            result[i : i + 3] = rotation_rate(moved[i : i + 3], qvel[i : i + 3])
    return result


def rotation_rate(vector, omega):
    """Return the time derivative of a rotation vector u where the body turns at omega, in its own axes.

    omega + u x omega / 2 + (1 / t^2 - cot(t / 2) / (2 t)) u x (u x omega) with t = |u|: the inverse of the right Jacobian of the
    rotations.
    """
    t = np.linalg.norm(vector)
    series = 1 / 12 + t**2 / 720 + t**4 / 30240 + t**6 / 1209600
    factor = 1 / t**2 - 1 / (2 * t * np.tan(t / 2)) if t > 0.2 else series
    turning = np.cross(vector, omega)
    return omega + turning / 2 + factor * np.cross(vector, turning)
