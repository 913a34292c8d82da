"""Acrobot-v1, exact to Gymnasium's `AcrobotEnv` (Sutton 1996; the equations of Sutton & Barto's book).

Differs from Gymnasium: the first observation of an episode is rounded from float64 sines. Gymnasium takes NumPy's float32 sine of
its float32 initial state, which is off by one float32 ulp for about 5 in 10,000 angles.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from fastars._compiled.jit import inline
from fastars._compiled.protocol import register_functions
from fastars._compiled.rng import uniform
from fastars._compiled.trig import sincos

DT = 0.2  # s
GRAVITY = 9.8  # m/s^2
MAX_SPEED_1, MAX_SPEED_2 = 4 * math.pi, 9 * math.pi  # rad/s
# Both links: mass 1 kg, length 1 m, centre of mass at 0.5 m, moment of inertia 1 kg m^2.
COM = 0.5


class Acrobot(NamedTuple):
    """Acrobot's constants. Gymnasium lets `make` change none of them; `torque` is the size of a push."""

    torque: float = 1.0  # N m

    def gymnasium(self) -> tuple[str, dict[str, Any]]:
        """Return the id and keyword arguments that make the same environment in Gymnasium."""
        return "Acrobot-v1", {}


@inline
def reset(env, rng):
    # Gymnasium keeps the first state as float32.
    f = np.float32
    a, b, c, d = uniform(rng, -0.1, 0.1), uniform(rng, -0.1, 0.1), uniform(rng, -0.1, 0.1), uniform(rng, -0.1, 0.1)
    return np.float64(f(a)), np.float64(f(b)), np.float64(f(c)), np.float64(f(d))


@inline
def observe(env, state):
    theta1, theta2, dtheta1, dtheta2 = state
    f = np.float32
    sine1, cosine1 = sincos(theta1)
    sine2, cosine2 = sincos(theta2)
    return f(cosine1), f(sine1), f(cosine2), f(sine2), f(dtheta1), f(dtheta2)


@inline
def _derivative(state, torque):
    """Return the time derivative of (theta1, theta2, dtheta1, dtheta2): equations of the book, section 11.3."""
    theta1, theta2, dtheta1, dtheta2 = state
    sine2, cosine2 = sincos(theta2)
    _, lean12 = sincos(theta1 + theta2 - math.pi / 2.0)
    _, lean1 = sincos(theta1 - math.pi / 2)
    d1 = COM * COM + (1.0 + COM * COM + 2 * COM * cosine2) + 1.0 + 1.0
    d2 = (COM * COM + COM * cosine2) + 1.0
    phi2 = COM * GRAVITY * lean12
    phi1 = -COM * (dtheta2 * dtheta2) * sine2 - 2 * COM * dtheta2 * dtheta1 * sine2 + (COM + 1.0) * GRAVITY * lean1 + phi2
    ddtheta2 = (torque + d2 / d1 * phi1 - COM * (dtheta1 * dtheta1) * sine2 - phi2) / (COM * COM + 1.0 - d2 * d2 / d1)
    ddtheta1 = -(d2 * ddtheta2 + phi1) / d1
    return dtheta1, dtheta2, ddtheta1, ddtheta2


@inline
def _moved(state, time, k):
    """Return the state after moving along k for a time."""
    return state[0] + time * k[0], state[1] + time * k[1], state[2] + time * k[2], state[3] + time * k[3]


@inline
def _blend(y, k1, k2, k3, k4):
    """Return one entry of the Runge-Kutta step."""
    return y + DT / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4)


@inline
def _wrap(angle):
    """Return the angle in [-pi, pi], turn by turn as in Gymnasium. A step moves it by at most four turns (60,000 random states)."""
    return _unwind(_unwind(_unwind(_unwind(_unwind(angle)))))


@inline
def _unwind(angle):
    return angle - math.copysign(2 * math.pi, angle) if abs(angle) > math.pi else angle


@inline
def step(env, state, action):
    torque = np.float64(action - 1) * env.torque
    k1 = _derivative(state, torque)
    k2 = _derivative(_moved(state, DT / 2.0, k1), torque)
    k3 = _derivative(_moved(state, DT / 2.0, k2), torque)
    k4 = _derivative(_moved(state, DT, k3), torque)
    theta1 = _wrap(_blend(state[0], k1[0], k2[0], k3[0], k4[0]))
    theta2 = _wrap(_blend(state[1], k1[1], k2[1], k3[1], k4[1]))
    dtheta1 = _blend(state[2], k1[2], k2[2], k3[2], k4[2])
    dtheta2 = _blend(state[3], k1[3], k2[3], k3[3], k4[3])
    dtheta1 = -MAX_SPEED_1 if dtheta1 < -MAX_SPEED_1 else dtheta1
    dtheta1 = MAX_SPEED_1 if dtheta1 > MAX_SPEED_1 else dtheta1
    dtheta2 = -MAX_SPEED_2 if dtheta2 < -MAX_SPEED_2 else dtheta2
    dtheta2 = MAX_SPEED_2 if dtheta2 > MAX_SPEED_2 else dtheta2
    _, cosine1 = sincos(theta1)
    _, cosine12 = sincos(theta2 + theta1)
    terminated = -cosine1 - cosine12 > 1.0
    return (theta1, theta2, dtheta1, dtheta2), (0.0 if terminated else -1.0), terminated


register_functions(Acrobot, reset, observe, step)
