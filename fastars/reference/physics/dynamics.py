"""The equation of motion without constraints: M qacc + c = tau.

MuJoCo's documentation, "Computation", "General framework", equation (1). MuJoCo computes M by the composite-rigid-body algorithm
and c by recursive Newton-Euler. Here both are sums over the bodies, from the Jacobians of their centres of mass.
"""

import numpy as np

from .kinematics import FREE, SLIDE, jacobian, joints_of


def mass_matrix(model, kinematics):
    """Return M (nv, nv): sum over bodies of m Jp' Jp + Jr' I Jr, and the armature on the diagonal."""
    result = np.diag(np.array(model.dof_armature, np.float64))
    for body in range(1, model.nbody):
        linear, angular = jacobian(model, kinematics, body, kinematics.xipos[body])
        result += model.body_mass[body] * linear.T @ linear + angular.T @ inertia(model, kinematics, body) @ angular
    return result


def inertia(model, kinematics, body):
    """Return the inertia (3, 3) of a body about its centre of mass, in the axes of the world."""
    axes = kinematics.ximat[body]
    return axes @ np.diag(model.body_inertia[body]) @ axes.T


def bias_force(model, kinematics, qvel):
    """Return c (nv,): the force that the motion at velocity qvel needs with qacc = 0, against inertia and gravity.

    Newton and Euler for each body, projected on the joints: Jp' m (a - g) + Jr' (I alpha + omega x I omega).
    """
    result = np.zeros(model.nv)
    omega, alpha, acceleration = accelerations_at_rest(model, kinematics, qvel)
    for body in range(1, model.nbody):
        linear, angular = jacobian(model, kinematics, body, kinematics.xipos[body])
        spin = inertia(model, kinematics, body)
        result += linear.T @ (model.body_mass[body] * (acceleration[body] - model.opt.gravity))
        result += angular.T @ (spin @ alpha[body] + np.cross(omega[body], spin @ omega[body]))
    return result


def accelerations_at_rest(model, kinematics, qvel):
    """Return (omega, alpha, acceleration), each (nbody, 3), where qacc = 0.

    They are angular velocities, angular accelerations, and accelerations of the centres of mass: Jdot qvel. Body by body from the
    root, and joint by joint within a body, as the acceleration of a point that moves from anchor to anchor.
    """
    omega, alpha, at_com = (np.zeros((model.nbody, 3)) for _ in range(3))
    origin = np.zeros((model.nbody, 3))
    for body in range(1, model.nbody):
        parent = model.body_parentid[body]
        turning, spinning, acceleration, point = omega[parent], alpha[parent], origin[parent], kinematics.xpos[parent]
        for joint in joints_of(model, body):
            i, axis = model.jnt_dofadr[joint], kinematics.xaxis[joint]
            if model.jnt_type[joint] == FREE:  # constant velocities in the axes of the world, and of the body
                turning, point = kinematics.xmat[body] @ qvel[i + 3 : i + 6], kinematics.xpos[body]
            elif model.jnt_type[joint] == SLIDE:  # Coriolis
                acceleration = acceleration + 2 * np.cross(turning, axis) * qvel[i]
            else:
                acceleration = acceleration_at(kinematics.xanchor[joint], point, acceleration, turning, spinning)
                point = kinematics.xanchor[joint]
                spinning = spinning + np.cross(turning, axis) * qvel[i]
                turning = turning + axis * qvel[i]
        omega[body], alpha[body] = turning, spinning
        origin[body] = acceleration_at(kinematics.xpos[body], point, acceleration, turning, spinning)
        at_com[body] = acceleration_at(kinematics.xipos[body], point, acceleration, turning, spinning)
    return omega, alpha, at_com


def acceleration_at(other, point, acceleration, omega, alpha):
    """Return the acceleration of another point of the same rigid body."""
    arm = other - point
    return acceleration + np.cross(alpha, arm) + np.cross(omega, np.cross(omega, arm))


def smooth_force(model, kinematics, qpos, qvel, ctrl):
    """Return (tau - c, actuation), each (nv,): all forces but those of constraints, and the part of the motors."""
    motors = actuation(model, ctrl)
    fluid = fluid_force(model, kinematics, qvel)
    return spring_force(model, qpos) + damper_force(model, qvel) + fluid + motors - bias_force(model, kinematics, qvel), motors


def actuation(model, ctrl):
    """Return the joint forces (nv,) of motors: gear x gain x control, the control clamped to its range.

    "Actuation model". Controls that are NaN or above 1e10 turn all motors off, as in MuJoCo.
    """
    result = np.zeros(model.nv)
    low, high = np.array(model.actuator_ctrlrange, np.float64).reshape(-1, 2).T
    limited = np.array(model.actuator_ctrllimited, bool)
    ctrl = np.where(limited & (ctrl < low), low, np.where(limited & (ctrl > high), high, ctrl))
    if not np.all(np.abs(ctrl) <= 1e10):
        return result
    for a in range(model.nu):
        dof = model.jnt_dofadr[model.actuator_trnid[a, 0]]
        result[dof] += model.actuator_gear[a, 0] * model.actuator_gainprm[a, 0] * ctrl[a]
    return result


def spring_force(model, qpos):
    """Return the forces (nv,) of the joints' springs, "Passive forces"."""
    result = np.zeros(model.nv)
    for joint in range(model.njnt):
        if model.jnt_type[joint] != FREE:
            at = model.jnt_qposadr[joint]
            result[model.jnt_dofadr[joint]] = -first_of(model.jnt_stiffness[joint]) * (qpos[at] - model.qpos_spring[at])
    return result


def damper_force(model, qvel):
    """Return the forces (nv,) of the joints' dampers, "Passive forces"."""
    return -damping(model) * qvel


def damping(model):
    """Return the linear damping (nv,) of the dofs. Some versions of MuJoCo hold a polynomial for each."""
    return np.array([first_of(value) for value in model.dof_damping], np.float64)


def first_of(value):
    """Return a number, or the first one of an array."""
    return np.ravel(value)[0]


def fluid_force(model, kinematics, qvel):
    """Return the forces (nv,) of the medium, "Fluid forces", "Inertia model": each body is a box with the body's inertia.

    In the axes of the box, with diameter d the mean of its sides s, a force against the velocity v and a torque against omega:
    viscous: 3 pi d eta v and pi d^3 eta omega;
    drag: rho/2 s_j s_k |v_i| v_i and rho/64 s_i (s_j^4 + s_k^4) |omega_i| omega_i.
    """
    result = np.zeros(model.nv)
    density, viscosity = model.opt.density, model.opt.viscosity
    if density == 0 and viscosity == 0:
        return result
    for body in range(1, model.nbody):
        if model.body_mass[body] < 1e-15:
            continue
        linear, angular = jacobian(model, kinematics, body, kinematics.xipos[body])
        axes = kinematics.ximat[body]
        v, omega = axes.T @ linear @ qvel, axes.T @ angular @ qvel
        x, y, z = model.body_inertia[body]
        sides = np.sqrt(np.maximum([y + z - x, x + z - y, x + y - z], 1e-15) / model.body_mass[body] * 6.0)
        area = np.array([sides[1] * sides[2], sides[0] * sides[2], sides[0] * sides[1]])
        fourth = sides**4
        moment = sides * (fourth.sum() - fourth)
        d = sides.mean()
        force = -3 * np.pi * d * viscosity * v - density / 2 * area * np.abs(v) * v
        torque = -np.pi * d**3 * viscosity * omega - density / 64 * moment * np.abs(omega) * omega
        result += linear.T @ axes @ force + angular.T @ axes @ torque
    return result
