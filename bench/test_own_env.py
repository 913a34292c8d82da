"""A user's environment against the built-in one of the same arithmetic: CartPole and Pendulum, written as a user writes them."""

import math
from typing import NamedTuple

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from bench.machine import THREADS
from fastars import evaluate_candidates, register_env
from fastars.scalar import clip, sincos, uniform

TARGET = 0.9  # of the built-in one's speed
N_CANDIDATES = 20_480


class Pole(NamedTuple):
    gravity: float = 9.8
    masspole: float = 0.1
    total_mass: float = 0.1 + 1.0
    length: float = 0.5
    force: float = 10.0
    tau: float = 0.02


def reset_pole(env, rng):
    return uniform(rng, -0.05, 0.05), uniform(rng, -0.05, 0.05), uniform(rng, -0.05, 0.05), uniform(rng, -0.05, 0.05)


def observe_pole(env, state):
    return state


def step_pole(env, state, action):
    x, x_dot, theta, theta_dot = state
    force = env.force if action == 1 else -env.force
    sine, cosine = sincos(theta)
    polemass_length = env.masspole * env.length
    temp = (force + polemass_length * (theta_dot * theta_dot) * sine) / env.total_mass
    theta_acc = (env.gravity * sine - cosine * temp) / (
        env.length * (4.0 / 3.0 - env.masspole * (cosine * cosine) / env.total_mass)
    )
    x_acc = temp - polemass_length * theta_acc * cosine / env.total_mass
    x, x_dot = x + env.tau * x_dot, x_dot + env.tau * x_acc
    theta, theta_dot = theta + env.tau * theta_dot, theta_dot + env.tau * theta_acc
    return (x, x_dot, theta, theta_dot), 1.0, abs(x) > 2.4 or abs(theta) > 12 * 2 * math.pi / 360


class Swing(NamedTuple):
    g: float = 10.0


def reset_swing(env, rng):
    return uniform(rng, -math.pi, math.pi), uniform(rng, -1.0, 1.0)


def observe_swing(env, state):
    sine, cosine = sincos(state[0])
    return cosine, sine, state[1]


def step_swing(env, state, action):
    """Pendulum with an angle that one floor wraps, and a torque in float64."""
    theta, theta_dot = state
    torque = clip(action[0], -2.0, 2.0)
    turns = math.floor((theta + math.pi) / (2 * math.pi))
    angle = theta - 2 * math.pi * turns
    cost = angle * angle + 0.1 * (theta_dot * theta_dot) + 0.001 * (torque * torque)
    sine, _ = sincos(theta)
    theta_dot = clip(theta_dot + (3.0 * env.g / 2.0 * sine + 3.0 * torque) * 0.05, -8.0, 8.0)
    return (theta + theta_dot * 0.05, theta_dot), -cost, False


def own(env_id):
    """Register the user's form of a built-in environment, and return its id."""
    spec = gymnasium.spec(env_id)
    if env_id == "CartPole-v1":
        functions, spaces = (Pole(), reset_pole, observe_pole, step_pole), (Box(-np.inf, np.inf, (4,)), Discrete(2))
    else:
        functions, spaces = (Swing(), reset_swing, observe_swing, step_swing), (Box(-8.0, 8.0, (3,)), Box(-2.0, 2.0, (1,)))
    limit = spec.max_episode_steps
    made = register_env(f"Own{env_id}", *functions, observation_space=spaces[0], action_space=spaces[1], max_episode_steps=limit)
    return made.id


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_own_environment_against_the_built_in_one(env_id, race, record, quick):
    n, draw, own_id = 512 if quick else N_CANDIDATES, np.random.default_rng(0), own(env_id)
    weights, seeds = 0.3 * draw.standard_normal((n, 8 if env_id == "CartPole-v1" else 3)), draw.integers(0, 2**32, n, np.uint64)
    if env_id == "CartPole-v1":
        weights[:, 4:] += np.array([0.1, 0.3, 3.0, 1.0])
    results = [evaluate_candidates(name, weights, seeds) for name in (own_id, env_id)]
    np.testing.assert_array_equal(results[0].lengths, results[1].lengths)
    # Pendulum's torque is float32 in Gymnasium: where it stays upright, that grows.
    assert np.isclose(results[0].returns, results[1].returns, rtol=1e-3).mean() > 0.99
    seconds = race(
        {
            "own": lambda: evaluate_candidates(own_id, weights, seeds, n_threads=THREADS),
            "built in": lambda: evaluate_candidates(env_id, weights, seeds, n_threads=THREADS),
        },
        budget=6.0,
    )
    n_steps = int(results[0].lengths.sum())
    record(env=env_id, target=TARGET, steps_per_s={name: n_steps / value for name, value in seconds.items()})
