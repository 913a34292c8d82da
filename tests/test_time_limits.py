"""Ends of episodes: the same returns, lengths and observations as in a plain loop, with every sampler.

Broken on purpose: no cap in vector environments, or none side by side -> test_episodes_end_as_in_a_plain_loop red there.
"""

import contextlib
from typing import NamedTuple

import gymnasium
import numba
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import fastars
from fastars import ARS, reference
from fastars._compiled.structs import TERMINATED, TRUNCATED, Filter, LinearPolicy
from fastars.envs import USER_ENVS, environment
from fastars.samplers import make_sampler
from fastars.samplers.gym import GymSampler
from fastars.samplers.reference import ReferenceSampler
from fastars.scalar import uniform

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the environment is the same functions then")
LIMIT, CAP = 6, 5  # steps
FILTER = Filter(np.array([0.1, -0.2]), np.array([0.7, 1.3]), 2.0)


class Ends(NamedTuple):
    """A point that terminates in step 3 to 8, with equal probability: the time limit of 6 comes before, with it, or after it."""

    push: float = 0.3


def reset(env, rng):
    return uniform(rng, -1.0, 1.0), np.floor(uniform(rng, 3.0, 9.0)), 0.0


def observe(env, state):
    return state[0], state[2] * 0.1


def step(env, state, action):
    x, last, n = state
    x, n = x + env.push * action[0], n + 1.0
    return (x, last, n), 1.0 - x * x, n >= last


OURS = fastars.register_env(
    "Ends-v0",
    Ends(),
    reset,
    observe,
    step,
    observation_space=Box(-9, 9, (2,)),
    action_space=Box(-1, 1, (1,)),
    max_episode_steps=LIMIT,
)
SPEC = gymnasium.spec("Ends-v0")


@pytest.fixture(autouse=True, scope="module")
def registered():
    """Under its id while these tests run: those of own environments leave none behind."""
    USER_ENVS["Ends-v0"], gymnasium.registry["Ends-v0"] = OURS, SPEC
    yield
    del USER_ENVS["Ends-v0"], gymnasium.registry["Ends-v0"]


class Counting(gymnasium.Wrapper):
    """Counts the steps of all environments of this process."""

    n_steps = 0

    def step(self, action):
        Counting.n_steps += 1
        return super().step(action)


class TruncatesItself(gymnasium.Wrapper):
    """If an episode terminates in its last step, both are true, as with Gymnasium's `TimeLimit`."""

    def reset(self, **kwargs):
        self.n = 0
        return super().reset(**kwargs)

    def step(self, action):
        self.n += 1
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, self.n == CAP, info


def with_limit():
    return Counting(gymnasium.make(SPEC))


def without_limit():
    return Counting(gymnasium.make(SPEC).unwrapped)


def truncating():
    return Counting(TruncatesItself(gymnasium.make(SPEC).unwrapped))


# How episodes end: what makes the environment, the setting `max_episode_steps`, and steps after which they end.
KINDS = {
    "time limit": (with_limit, None, LIMIT),
    "time limit, and a cap before it": (with_limit, CAP, CAP),
    "time limit, and a cap after it": (with_limit, 100, LIMIT),
    "cap alone": (without_limit, CAP, CAP),
    "truncates itself": (truncating, None, CAP),
    "truncates itself, and a cap with it": (truncating, CAP, CAP),
}
VECTOR_WAYS = {f"vector environment, {mode.name}": mode for mode in AutoresetMode} | {"vector environment, mode unknown": None}
WAYS = ["one by one", "side by side", "in workers", "compiled", "reference", *VECTOR_WAYS]
N = 24  # candidates
WEIGHTS, SEEDS = np.random.default_rng(0).normal(size=(N, 2)), np.arange(2 * N, dtype=np.uint64)


def looped(make, n_steps):
    """Returns, lengths, status and observations of a plain loop."""
    env, episodes = make(), []
    for j, seed in enumerate(SEEDS):
        observation, _ = env.reset(seed=int(seed))
        total, observations, status = 0.0, [], 0
        while not status:
            observations.append(observation.astype(np.float64))
            scores = reference.action_scores(LinearPolicy(), WEIGHTS[j // 2], observations[-1], FILTER)
            observation, reward, terminated, truncated, _ = env.step(np.clip(scores.astype(np.float32), -1.0, 1.0))
            total += float(reward)
            is_late = truncated or len(observations) == n_steps
            status = TERMINATED if terminated else TRUNCATED if is_late else 0
        episodes.append((total, len(observations), status, np.mean(observations, axis=0)))
    return [np.array(column) for column in zip(*episodes, strict=True)]


def sampler_of(way, make, cap):
    """A sampler that runs these episodes in one of the `WAYS`."""
    if way in ("compiled", "reference"):
        env = environment(gymnasium.make("Ends-v0"), max_episode_steps=cap)
        return make_sampler(env, LinearPolicy()) if way == "compiled" else ReferenceSampler(env, env.rollout_spec(LinearPolicy()))
    n_workers, per_worker = {"side by side": (1, 3), "in workers": (2, 2)}.get(way, (1, 1))
    if way in VECTOR_WAYS:
        given = SyncVectorEnv([make] * 5, autoreset_mode=VECTOR_WAYS[way] or AutoresetMode.SAME_STEP)
        given.metadata = given.metadata if VECTOR_WAYS[way] else {}
        make, per_worker = given, None
    env = environment(make, False, max_episode_steps=cap)
    return GymSampler(env, env.rollout_spec(LinearPolicy()), n_workers, envs_per_worker=per_worker)


def kinds(way, is_full):
    """Of the `KINDS`, those that there are."""
    if way in ("compiled", "reference"):  # what is compiled has the time limit of its id
        return [kind for kind in KINDS.values() if kind[0] is with_limit]
    return list(KINDS.values())[:: 1 if way != "in workers" or is_full else 3]


@pytest.mark.promise(20)
@pytest.mark.parametrize("way", WAYS)
def test_episodes_end_as_in_a_plain_loop(way, tally):
    n = 0
    for make, cap, n_steps in kinds(way, tally.is_full):
        returns, lengths, status, means = looped(make, n_steps)
        assert {TERMINATED, TRUNCATED} == set(status)
        assert TERMINATED in status[lengths == n_steps]  # in the same step as the time limit
        Counting.n_steps = 0
        with contextlib.closing(sampler_of(way, make, cap)) as sampler:
            rollouts = sampler.evaluate(WEIGHTS, FILTER, SEEDS, True)
        np.testing.assert_array_equal(rollouts.returns, returns)
        np.testing.assert_array_equal(rollouts.lengths, lengths)
        np.testing.assert_array_equal(rollouts.status, status)
        np.testing.assert_array_equal(rollouts.moments.count, lengths)  # no step between two episodes is among them
        np.testing.assert_allclose(rollouts.moments.mean, means, rtol=1e-12)
        if way in ("one by one", "side by side"):
            assert Counting.n_steps == lengths.sum()
        n += len(SEEDS)
    tally(f"episodes that end as in a plain loop, {way}", n, of=n)


@pytest.mark.parametrize("way", WAYS)
def test_the_counts_of_a_run_are_those_of_its_episodes(way):
    """An episode ends in the step that its seed says, whatever the policy."""
    env = gymnasium.make(SPEC)
    if way in VECTOR_WAYS:
        env = SyncVectorEnv([with_limit] * 5, autoreset_mode=VECTOR_WAYS[way] or AutoresetMode.SAME_STEP)
    settings = {"in workers": {"n_workers": 2}, "reference": {"backend": "numpy"}}.get(way, {})
    compiled = None if way in ("compiled", "reference") else False
    model = ARS("LinearPolicy", env, n_delta=4, n_eval_episodes=3, seed=1, variant="V2", compiled=compiled, **settings)
    seeds = []
    for iteration in range(3):
        seeds += reference.episode_seeds(np.uint64(1), iteration, 4, 3, False).ravel().tolist()
        model.learn(1, reset_num_timesteps=False)
    model.close()
    lasts = [np.random.default_rng(seed).uniform(size=2)[1] * 6.0 // 1 + 3 for seed in seeds]
    assert model.num_episodes == len(seeds)
    assert model.num_timesteps == model.state.moments[0] == np.minimum(lasts, LIMIT).sum()
