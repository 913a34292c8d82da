"""An environment of your own, compiled: a planar quadrotor starts anywhere nearby and must hover at a point.

The task is a NamedTuple of constants and three functions of numbers. They are compiled into the rollout kernel, where LLVM computes
several episodes per instruction, and run as plain Python in the Gymnasium environment of the same id: the returns are the same.
"""

from typing import NamedTuple

import numpy as np
from gymnasium.spaces import Box

from fastars import ARS, check_env, evaluate_policy, register_env
from fastars.scalar import clip, sincos, uniform


class Quadrotor(NamedTuple):
    gravity: float = 9.81  # m/s^2
    mass: float = 0.5  # kg
    arm: float = 0.15  # m, from the middle to a rotor
    inertia: float = 0.005  # kg m^2
    dt: float = 0.02  # s


def reset(env, rng):  # x, y in m from the point; tilt in rad; their rates per second
    return uniform(rng, -1.0, 1.0), uniform(rng, -1.0, 1.0), uniform(rng, -0.5, 0.5), 0.0, 0.0, 0.0


def observe(env, state):
    return state


def thrust(env, command):
    """Of a rotor, N: half the weight, and up to as much more or less."""
    return 0.5 * env.mass * env.gravity * (1.0 + clip(command, -1.0, 1.0))


def step(env, state, action):
    x, y, tilt, x_dot, y_dot, spin = state
    left, right = thrust(env, action[0]), thrust(env, action[1])
    sine, cosine = sincos(tilt)
    x_dot = x_dot - env.dt * (left + right) * sine / env.mass
    y_dot = y_dot + env.dt * ((left + right) * cosine / env.mass - env.gravity)
    spin = spin + env.dt * (right - left) * env.arm / env.inertia
    x, y, tilt = x + env.dt * x_dot, y + env.dt * y_dot, tilt + env.dt * spin
    distance = x * x + y * y
    reward = 1.0 / (1.0 + 10.0 * distance + tilt * tilt)
    return (x, y, tilt, x_dot, y_dot, spin), reward, distance > 9.0 or abs(tilt) > 1.5


register_env(
    "QuadrotorHover-v0",
    Quadrotor(),
    reset,
    observe,
    step,
    observation_space=Box(-np.inf, np.inf, (6,)),
    action_space=Box(-1.0, 1.0, (2,)),
    max_episode_steps=300,
    reward_threshold=250.0,
)

if __name__ == "__main__":
    print(check_env("QuadrotorHover-v0", rtol=0, atol=0))

    model = ARS("LinearPolicy", "QuadrotorHover-v0", n_delta=8, delta_std=0.3, learning_rate=0.1, seed=1)
    print(f"untrained: mean return {model.evaluate(100, seed=100).returns.mean():.0f} of 300")
    model.learn(total_timesteps=2_000_000)
    print(f"trained:   mean return {model.evaluate(100, seed=100).returns.mean():.0f} of 300")

    ours = model.evaluate(20, seed=100)
    mean, std = evaluate_policy(model, "QuadrotorHover-v0", n_eval_episodes=20, seed=100)
    print(f"kernels   {float(ours.returns.mean())!r} +- {float(ours.returns.std())!r}")
    print(f"Gymnasium {mean!r} +- {std!r}")
