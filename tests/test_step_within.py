"""Steps of environments in Python are taken within the layers that `gymnasium.make` adds, once these have checked an episode.

Broken on purpose -> red: no layer is left out, or some in the first episode -> `own_step`; any step of a class of Gymnasium's taken
for its own, attributes of instances not looked at -> `a_layer_with`; limits not compared -> `comes_earlier`; an environment of the
user's stepped within -> `of_the_users`.
"""

import traceback
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from fastars._compiled.structs import TERMINATED, TRUNCATED, LinearPolicy, identity_filter
from fastars.envs.gym import gym_env
from fastars.envs.wrappers import step_within
from fastars.samplers import episodes
from fastars.samplers.gym import GymSampler

LIMIT = 5


class Walk(gymnasium.Env):
    """Goes where its actions lead, and terminates beyond 2. It notes the file that calls its step."""

    observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    callers: list[str] = []  # noqa: RUF012

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.uniform(-1.0, 1.0, 1)
        return self.place.copy(), {}

    def step(self, action):
        self.callers.append(Path(traceback.extract_stack(limit=2)[0].filename).stem)
        self.place = self.place + action
        return self.place.copy(), float(self.place[0]), bool(abs(self.place[0]) > 2.0), False, {}


def layered(env=None):
    return TimeLimit(OrderEnforcing(PassiveEnvChecker(env or Walk())), LIMIT)


def evaluated(make=layered, n=6):
    env = gym_env(make, "a test")
    sampler = GymSampler(env, env.rollout_spec(LinearPolicy()), envs_per_worker=1)
    weights = np.linspace(-1.0, 1.0, n)[:, np.newaxis]
    Walk.callers.clear()
    return sampler.evaluate(weights, identity_filter(1), np.arange(n, dtype=np.uint64), True)


def test_an_own_step_is_called_after_the_first_episode():
    found = evaluated()
    first, callers = found.lengths[0], list(Walk.callers)
    assert "episodes" not in callers[:first]
    assert callers[first:] == ["episodes"] * found.lengths[1:].sum()


def test_results_are_the_same_as_through_the_layers(monkeypatch):
    found = evaluated()
    monkeypatch.setattr(episodes, "step_within", lambda env, max_steps: env.step)
    through = evaluated()
    for ours, theirs in zip((*found[:3], *found.moments), (*through[:3], *through.moments), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert found.lengths.max() == LIMIT
    assert set(found.status) == {TERMINATED, TRUNCATED}


class Other(TimeLimit):
    def step(self, action):
        return super().step(action)


def test_a_layer_with_a_step_of_its_own_stays(monkeypatch):
    bare = Walk()
    assert step_within(layered(bare), LIMIT) == bare.step
    other = Other(PassiveEnvChecker(bare), LIMIT)
    assert step_within(other, LIMIT) == other.step
    assert step_within(TimeLimit(other, LIMIT), LIMIT) == other.step
    set_on = OrderEnforcing(bare)
    set_on.step = bare.step
    assert step_within(TimeLimit(set_on, LIMIT), LIMIT) is set_on.step
    monkeypatch.setattr(OrderEnforcing, "step", lambda self, action: self.env.step(-action))
    env = layered(bare)
    assert step_within(env, LIMIT) == env.env.step


def test_a_time_limit_that_comes_earlier_stays():
    env = layered()
    assert step_within(env, LIMIT + 1) == env.step
    assert step_within(env, LIMIT - 1) == env.unwrapped.step


def test_an_environment_of_the_users_keeps_its_layers():
    env = layered()
    found = gym_env(env, "a test")
    sampler = GymSampler(found, found.rollout_spec(LinearPolicy()))
    Walk.callers.clear()
    sampler.evaluate(np.zeros((2, 1)), identity_filter(1), np.arange(2, dtype=np.uint64), False)
    assert "episodes" not in Walk.callers
    assert env._elapsed_steps > 0
