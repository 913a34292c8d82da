"""Env steps per second of the physics over lanes, beside those of `mj_step` and of EnvPool.

Whole rollouts have policies as they are in training. The preset "tuned" trains over lanes with seed 0 for the steps of `WORK`: in
that time, Hopper and Walker2d learn to stay up for hundreds of steps, while random ones fall at once. The candidates are those of
training: theta + sigma delta and theta - sigma delta, with the filter of that moment, and an episode of its own for each.
"""

import functools
from typing import NamedTuple

import gymnasium
import numpy as np
import pytest

from bench import peers
from bench.machine import THREADS
from bench.stepping import random_actions, stepper
from fastars import ARS
from fastars.samplers import make_sampler

pytest.importorskip("mujoco")
pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, from any line of theirs


class Work(NamedTuple):
    """An environment: steps of training, episodes of the race with `mj_step`, their time limit, and the ratio aimed at."""

    trained_steps: int
    n_episodes: int
    max_steps: int | None  # None: Gymnasium's
    aim: float


WORK = {
    "HalfCheetah-v5": Work(2_000_000, 64, None, 10.0),
    "Hopper-v5": Work(2_000_000, 64, None, 18.0),
    "Walker2d-v5": Work(4_000_000, 64, None, 18.0),
    "Swimmer-v5": Work(200_000, 64, None, 14.0),
    "InvertedPendulum-v5": Work(200_000, 128, None, 12.0),
    "InvertedDoublePendulum-v5": Work(400_000, 128, None, 12.0),
    "Reacher-v5": Work(200_000, 1_024, None, 12.0),
    "Ant-v5": Work(500_000, 64, 200, 6.0),
}
LANES, MUJOCO = "lanes", "mj_step"
PHYSICS = {LANES: "lanes", MUJOCO: "mujoco"}
MANY = (256, 1_024)  # episodes of the races of threads
TWO_THREADS = 1.9
FEW_STEPS = 10  # after which the two physics still have the same return, to rounding
POOLED, OF_ENVPOOL = "HalfCheetah-v4", 15.0  # EnvPool has no v5
SIZES = (64, 256, 1_024, 4_096)


@functools.cache
def trained(env_id, quick):
    """Return a run of the preset in the middle of its training."""
    model = ARS("LinearPolicy", env_id, seed=0, n_threads=THREADS, preset="tuned", physics="lanes")
    if model.config.physics != "lanes":
        pytest.skip(f"{env_id} does not run over lanes")
    return model.learn(1 if quick else WORK[env_id].trained_steps)


class Episodes:
    """Episodes of candidates around a policy in training, one for each."""

    def __init__(self, env_id, n, quick):
        self.model, self.n, self.max_steps = trained(env_id, quick), n, WORK[env_id].max_steps
        draw = np.random.default_rng(0)
        directions = self.model.config.delta_std * draw.standard_normal((n // 2, len(self.model.theta)))
        self.candidates = self.model.theta + np.stack([directions, -directions], axis=1).reshape(n, -1)
        self.seeds = draw.integers(0, 2**32, n, np.uint64)

    def runner(self, physics, n_threads, max_steps=None):
        """Return a function that runs the episodes and returns them. Observations are counted as in training."""
        env, policy = self.model.run.env, self.model.policy
        env = env._replace(physics=physics, max_steps=max_steps or self.max_steps or env.max_steps)
        sampler = make_sampler(env, policy.structure, clip_actions=self.model.config.clip_actions, n_threads=n_threads)
        updates = self.model.run.updates_obs_stats
        return lambda: sampler.evaluate(self.candidates, policy.filter, self.seeds, updates)


def assert_equal_beginnings(episodes):
    ours, theirs = (episodes.runner(physics, THREADS, FEW_STEPS)() for physics in PHYSICS.values())
    np.testing.assert_array_equal(ours.lengths, theirs.lengths)
    np.testing.assert_allclose(ours.returns, theirs.returns, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("env_id", WORK)
def test_whole_rollouts(env_id, race, record, quick):
    work = WORK[env_id]
    episodes = Episodes(env_id, 16 if quick else work.n_episodes, quick)
    assert_equal_beginnings(episodes)
    runners = {name: episodes.runner(physics, 1) for name, physics in PHYSICS.items()}
    rollouts = {name: run() for name, run in runners.items()}
    seconds = race(runners, budget=15.0)
    record(
        env=env_id,
        kind="rollouts",
        trained_steps=episodes.model.num_timesteps,
        episodes=episodes.n,
        mean_length={name: float(one.lengths.mean()) for name, one in rollouts.items()},
        mean_return={name: float(one.returns.mean()) for name, one in rollouts.items()},
        aim=work.aim,
        steps_per_s={name: int(rollouts[name].lengths.sum()) / value for name, value in seconds.items()},
    )


@pytest.mark.parametrize("n", MANY)
@pytest.mark.parametrize("env_id", WORK)
def test_threads(env_id, n, race, record, quick):
    episodes = Episodes(env_id, 32 if quick else n, quick)
    runners = {n_threads: episodes.runner("lanes", n_threads) for n_threads in (1, THREADS)}
    alone, together = (run() for run in runners.values())
    np.testing.assert_array_equal(alone.returns, together.returns)
    seconds = race(runners, budget=4.0)
    n_steps = int(alone.lengths.sum())
    record(
        env=env_id,
        kind="threads",
        episodes=episodes.n,
        mean_length=n_steps / episodes.n,
        aim=TWO_THREADS,
        steps_per_s={str(n_threads): n_steps / value for n_threads, value in seconds.items()},
    )


def pools(n, actions):
    """Return EnvPool's environments by name, a process for each version of it."""
    settings = {"env_id": POOLED, "n_envs": n, "n_threads": THREADS, "n_steps": max(1, 1_024 // n), "actions": actions}
    return {name: peers.Peer(python, "EnvPool", settings) for name, python in peers.versions("EnvPool").items()}


@pytest.mark.parametrize("n", SIZES)
def test_vector_environments(n, race, record, quick):
    """Step vector environments with ready-made random actions, all on two threads."""
    if quick and n > SIZES[0]:
        pytest.skip("takes too long to be quick")
    settings = {"num_envs": n, "n_threads": THREADS}
    envs = {name: gymnasium.make_vec(f"fastars/{POOLED}", physics=physics, **settings) for name, physics in PHYSICS.items()}
    actions = random_actions(POOLED, n)
    for ours, theirs in zip(*([envs[name].reset(seed=5)[0], envs[name].step(actions[0])[0]] for name in PHYSICS), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    others = pools(n, actions)
    seconds = race({**{name: stepper(each, actions) for name, each in envs.items()}, **others}, budget=6.0)
    for each in (*envs.values(), *others.values()):
        each.close()
    steps = dict.fromkeys(PHYSICS, n) | {name: each.steps_per_call for name, each in others.items()}
    rates = {name: steps[name] / value for name, value in seconds.items()}
    record(env=POOLED, kind="vector", environments=n, aim=OF_ENVPOOL, steps_per_s=rates)
    if not others:
        record(kind="missing", peer="EnvPool", reason=peers.why_missing("EnvPool"))
