"""Environments in Python: beside a bare loop, in two workers, and beside ARS of stable-baselines3-contrib."""

import functools
import multiprocessing
import statistics
import time

import gymnasium
import numpy as np
import pytest

from bench.drop_in import BUSY, bare_steps
from bench.machine import THREADS
from bench.peers import optional
from fastars import ARS
from fastars._compiled.structs import LinearPolicy, identity_filter
from fastars.envs import environment, make
from fastars.samplers.gym import GymSampler

ENVS = ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1", "HalfCheetah-v5"]
OURS, WORKERS, BARE = "fastars, this process", f"fastars, {THREADS} workers", "bare loop"
PROCESSES = f"{THREADS} processes that do nothing but step"


class Busy(gymnasium.Wrapper):
    """CartPole-v1 with steps that use some extra microseconds of the CPU."""

    def __init__(self, microseconds):
        super().__init__(gymnasium.make("CartPole-v1"))
        self.seconds = 1e-6 * microseconds

    def step(self, action):
        end = time.perf_counter() + self.seconds
        while time.perf_counter() < end:
            pass
        return self.env.step(action)


def candidates(env_id, env, n):
    """Return linear policies and seeds. Policies of CartPole keep the pole up for most of the time."""
    draw = np.random.default_rng(0)
    weights = 0.3 * draw.standard_normal((n, env.n_act * env.n_obs))
    if env_id == "CartPole-v1":
        weights[:, 4:] += np.array([0.1, 0.3, 3.0, 1.0])
    return weights, draw.integers(0, 2**32, n, np.uint64)


def bare_loop(made, weights, seeds):
    """Return returns and lengths of episodes in a plain loop with a policy in NumPy."""
    space = made.action_space
    is_discrete = isinstance(space, gymnasium.spaces.Discrete)
    one_hot = np.eye(made.observation_space.n) if isinstance(made.observation_space, gymnasium.spaces.Discrete) else None
    returns, lengths = [], []
    for row, seed in zip(weights, seeds, strict=True):
        matrix = row.reshape(int(space.n) if is_discrete else space.shape[0], -1)
        observation, _ = made.reset(seed=int(seed))
        total, length, ended = 0.0, 0, False
        while not ended:
            scores = matrix @ (observation if one_hot is None else one_hot[observation])
            action = int(np.argmax(scores)) if is_discrete else np.clip(scores, space.low, space.high).astype(np.float32)
            observation, reward, terminated, truncated, _ = made.step(action)
            total, length, ended = total + float(reward), length + 1, terminated or truncated
        returns.append(total)
        lengths.append(length)
    return np.array(returns), np.array(lengths)


@pytest.mark.parametrize("env_id", ENVS)
def test_bare_loop(env_id, race, record, quick):
    """Measure the cost of the sampler. Both sides step the result of `gymnasium.make`, with its wrappers."""
    env = environment(env_id, compiled=False)
    weights, seeds = candidates(env_id, env, 4 if quick else 40)
    if env_id == "HalfCheetah-v5":
        weights, seeds = weights[:8], seeds[:8]
    made, filter = make(env_id), identity_filter(env.n_obs)
    here, there = (GymSampler(env, env.rollout_spec(LinearPolicy()), n) for n in (1, THREADS))
    returns, lengths = bare_loop(made, weights, seeds)
    for sampler in (here, there):
        rollouts = sampler.evaluate(weights, filter, seeds, True)
        np.testing.assert_array_equal(rollouts.lengths, lengths)
        np.testing.assert_allclose(rollouts.returns, returns, rtol=1e-9)
    seconds = race(
        {
            OURS: lambda: here.evaluate(weights, filter, seeds, True),
            WORKERS: lambda: there.evaluate(weights, filter, seeds, True),
            BARE: lambda: bare_loop(made, weights, seeds),
        },
        budget=6.0,
    )
    here.close()
    there.close()
    target = 1.15 if env_id == "CartPole-v1" else None
    rates = {name: int(lengths.sum()) / value for name, value in seconds.items()}
    record(kind="bare", env=env_id, mean_length=float(lengths.mean()), steps_per_s=rates, target=target)


@pytest.mark.parametrize("microseconds", [0, 50, 200, 1_000])
def test_two_workers(microseconds, race, record, quick):
    """Compare two worker processes with this process, for steps of several durations."""
    env = environment(functools.partial(Busy, microseconds), max_episode_steps=100)
    weights, seeds = candidates("CartPole-v1", env, 4 if quick else 32)
    filter = identity_filter(env.n_obs)
    one, two = (GymSampler(env, env.rollout_spec(LinearPolicy()), n) for n in (1, THREADS))
    rollouts = one.evaluate(weights, filter, seeds, False)
    np.testing.assert_array_equal(two.evaluate(weights, filter, seeds, False).returns, rollouts.returns)
    seconds = race(
        {OURS: lambda: one.evaluate(weights, filter, seeds, False), WORKERS: lambda: two.evaluate(weights, filter, seeds, False)},
        budget=6.0,
    )
    one.close()
    two.close()
    n_steps = int(rollouts.lengths.sum())
    record(
        kind="workers",
        extra_us=microseconds,
        steps_per_s={name: n_steps / value for name, value in seconds.items()},
        target=1.7 if microseconds >= 50 else None,
    )


@pytest.mark.filterwarnings("ignore:.*share an object")  # Gymnasium's, of an environment that returns one array in each step
def test_bare_processes(race, record, quick):
    """Compare worker processes with as many that only step: no policy, no seeds, no results, nobody to talk to."""
    env = environment(BUSY)
    weights, seeds = candidates(BUSY, env, 4 if quick else 16)
    filter, n_steps, rates = identity_filter(env.n_obs), 200 * len(seeds), []
    one, two = (GymSampler(env, env.rollout_spec(LinearPolicy()), n) for n in (1, THREADS))
    expected, rollouts = (sampler.evaluate(weights, filter, seeds, True) for sampler in (one, two))
    np.testing.assert_array_equal(rollouts.returns, expected.returns)
    assert rollouts.lengths.sum() == n_steps
    with multiprocessing.get_context("spawn").Pool(THREADS) as pool:

        def bare():
            rates.append(sum(1.0 / each for each in pool.starmap(bare_steps, [(BUSY, n_steps // THREADS)] * THREADS, chunksize=1)))

        seconds = race({WORKERS: lambda: two.evaluate(weights, filter, seeds, True), PROCESSES: bare}, budget=6.0)
    one.close()
    two.close()
    steps_per_s = {WORKERS: n_steps / seconds[WORKERS], PROCESSES: statistics.median(rates)}
    record(kind="processes", episodes=len(seeds), steps_per_s=steps_per_s, target=0.9)


@pytest.mark.filterwarnings("ignore")  # theirs, from any line of theirs
def test_training_beside_sb3_contrib(race, record, quick):
    """Compare `learn` on one environment in this process, with each trainer's own evaluations and logs."""
    theirs = optional("sb3_contrib").ARS
    budget = 2_000 if quick else 20_000
    n_steps = {}

    def ours():
        n_steps[OURS] = ARS("LinearPolicy", "CartPole-v1", seed=0, compiled=False).learn(budget).num_timesteps

    def sb3():
        n_steps["stable-baselines3-contrib"] = (
            theirs("LinearPolicy", "CartPole-v1", seed=0, device="cpu").learn(budget).num_timesteps
        )

    seconds = race({OURS: ours, "stable-baselines3-contrib": sb3}, budget=10.0)
    record(kind="training", steps_per_s={name: n_steps[name] / value for name, value in seconds.items()}, target=5.0)
