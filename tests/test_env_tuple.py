"""Several environments as the tasks of one policy."""

import contextlib
import functools
import itertools
import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from fastars import UnsupportedEnvError, evaluate_candidates
from fastars._compiled.structs import FAILED, NONFINITE, TRUNCATED, LinearPolicy, Moments, identity_filter
from fastars.envs import environment
from fastars.reference import merge_moments
from fastars.samplers import make_sampler
from fastars.samplers.env_tuple import EnvTupleSampler, _merged

POLICY = LinearPolicy()
SEEDS = np.arange(12, dtype=np.uint64)
CANDIDATES = np.random.default_rng(0).standard_normal((6, 3))
FILTER = identity_filter(3)
WEIGHTS = [0.3, 1.7]
LIGHT, HEAVY = functools.partial(gymnasium.make, "Pendulum-v1"), functools.partial(gymnasium.make, "Pendulum-v1", g=5.0)


class Spinner(gymnasium.Env):
    """A Pendulum of its own kind, in Python."""

    observation_space = Box(-1, 1, (3,))
    action_space = Box(-2, 2, (1,))

    def __init__(self, bad_from=1000, raises=False):
        self.bad_from, self.raises = bad_from, raises

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.x = 0, self.np_random.uniform(-1, 1)
        return np.full(3, self.x, np.float32), {}

    def step(self, action):
        if self.raises:
            raise OSError("no network")
        self.t += 1
        return np.full(3, self.x, np.float32), np.nan if self.t > self.bad_from else float(action[0]), False, self.t == 20, {}


def evaluated(env, reward_weights=None, **settings):
    with contextlib.closing(make_sampler(environment(env), POLICY, **settings)) as sampler:
        return sampler.evaluate(CANDIDATES, FILTER, SEEDS, True, reward_weights)


@pytest.mark.parametrize(
    "envs",
    [
        ["Pendulum-v1", HEAVY()],
        [LIGHT, HEAVY],
        [HEAVY(), Spinner],
    ],
    ids=["compiled", "in Python", "one of each"],
)
def test_several_environments_give_what_each_gives_for_the_same_candidates_and_seeds(envs):
    together = evaluated(envs, WEIGHTS)
    parts = [evaluated(env) for env in envs]
    np.testing.assert_array_equal(together.task_returns, np.stack([part.returns for part in parts], axis=1))
    np.testing.assert_array_equal(together.returns, 0.3 * parts[0].returns + 1.7 * parts[1].returns)
    np.testing.assert_array_equal(together.lengths, parts[0].lengths + parts[1].lengths)
    assert (together.status == TRUNCATED).all()
    assert not np.array_equal(parts[0].returns, parts[1].returns)


def test_moments_are_those_of_all_observations():
    envs = ["Pendulum-v1", Spinner]
    parts = [evaluated(env).moments for env in envs]
    together = evaluated(envs).moments
    np.testing.assert_array_equal(together.count, parts[0].count + parts[1].count)
    for j in range(len(SEEDS)):
        rows = Moments(*(np.array([part[k][j] for part in parts]) for k in range(3)))
        _, mean, m2 = merge_moments(0, np.zeros(3), np.zeros(3), rows)
        np.testing.assert_allclose(together.mean[j], mean, rtol=1e-13)
        np.testing.assert_allclose(together.m2[j], m2, rtol=1e-13)


def test_merging_moments_of_no_observations_changes_nothing():
    none = Moments(np.zeros(1, np.int64), np.zeros((1, 2)), np.zeros((1, 2)))
    some = Moments(np.array([3]), np.array([[1.0, 2.0]]), np.array([[0.5, 0.0]]))
    for merged in (_merged(none, some), _merged(some, none)):
        for ours, theirs in zip(merged, some, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(_merged(none, none), none, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_moments_are_not_kept_unless_tracked():
    with contextlib.closing(make_sampler(environment(["Pendulum-v1", Spinner]), POLICY)) as sampler:
        assert sampler.evaluate(CANDIDATES, FILTER, SEEDS, False).moments.count.shape == (0,)


def test_one_environment_in_a_list_gives_its_returns():
    one, several = evaluated("Pendulum-v1"), evaluated(["Pendulum-v1"])
    np.testing.assert_array_equal(several.returns, one.returns)
    assert several.task_returns.shape == (len(SEEDS), 1)


def test_what_is_not_finite_in_one_environment_makes_all_returns_nan():
    rollouts = evaluated(["Pendulum-v1", functools.partial(Spinner, bad_from=10)], [1.0, 0.0])
    assert (rollouts.status == NONFINITE).all()
    assert np.isnan(rollouts.returns).all()
    assert np.isnan(rollouts.task_returns).all()


def test_worker_processes_give_the_same_bits():
    envs = [HEAVY, Spinner]
    here, there = evaluated(envs, WEIGHTS), evaluated(envs, WEIGHTS, n_workers=2)
    for name in ("returns", "lengths", "status", "task_returns"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))


def test_tasks_have_the_names_of_their_environments():
    assert environment(["Pendulum-v1", Spinner]).task_names == ("Pendulum-v1", "Spinner")
    found = environment(("Pendulum-v1", Spinner, HEAVY()))
    assert found.task_names == ("Pendulum-v1#0", "Spinner", "Pendulum-v1#2")
    assert found.id == "Pendulum-v1+Spinner+Pendulum-v1"
    assert found.kwargs == {"Pendulum-v1#0": {}, "Spinner": {}, "Pendulum-v1#2": {"g": 5.0}}
    assert (found.n_tasks, found.n_obs, found.n_act, found.max_steps) == (3, 3, 1, 10_000)
    assert found.reward_space == Box(-np.inf, np.inf, (3,), np.float64)


def test_a_sampler_says_where_each_environment_runs():
    with contextlib.closing(make_sampler(environment(["Pendulum-v1", Spinner]), POLICY, n_threads=1)) as sampler:
        assert isinstance(sampler, EnvTupleSampler)
        assert sampler.description.startswith(
            "Pendulum-v1 in compiled kernels, on 1 thread; Spinner in Python (a function makes it)"
        )
    with contextlib.closing(make_sampler(environment(["Pendulum-v1", HEAVY()]), POLICY, n_threads=1)) as sampler:
        assert sampler.description == "in compiled kernels, on 1 thread"


def test_the_time_limit_holds_for_each():
    rollouts = evaluate_candidates(["Pendulum-v1", Spinner], CANDIDATES, range(6), max_episode_steps=7, reward_weights=WEIGHTS)
    assert (rollouts.lengths == 14).all()


def test_a_failure_names_its_environment():
    failures = []
    sampler = make_sampler(environment(["Pendulum-v1", functools.partial(Spinner, raises=True)]), POLICY)
    with contextlib.closing(sampler):
        rollouts = sampler.evaluate(CANDIDATES[:1], FILTER, SEEDS[:1], False, on_failure=failures.append)
    assert [failure.text.startswith("in the task 'Spinner': Traceback") for failure in failures] == [True, True]
    assert "no network" in failures[0].text
    assert rollouts.n_failures == 2
    assert rollouts.n_restarts == 0
    assert rollouts.status.tolist() == [FAILED]
    assert np.isnan(rollouts.task_returns).all()


def test_an_error_names_its_environment():
    env = environment(["Pendulum-v1", Spinner])
    samplers = [make_sampler(one, POLICY) for one in env.envs]

    def evaluate(*arguments):
        raise KeyError("broken")

    samplers[1].evaluate = evaluate
    with pytest.raises(KeyError) as raised:
        EnvTupleSampler(env, samplers).evaluate(CANDIDATES, FILTER, SEEDS, False)
    assert raised.value.__notes__ == ["in the task 'Spinner'"]


def test_weights_of_another_number_are_refused_before_anything_runs():
    sampler = EnvTupleSampler(environment(["Pendulum-v1", Spinner]), [None, None])
    with pytest.raises(ValueError, match=r"reward_weights must be finite and of shape \(2,\)"):
        sampler.evaluate(CANDIDATES, FILTER, SEEDS, False, [1.0])


class Otherwise(Spinner):
    action_space = Box(-1, 1, (1,))


class Wider(Spinner):
    observation_space = Box(-1, 1, (4,))


class Bounded(Spinner):
    observation_space = Box(-7, 7, (3,))


def test_other_spaces_are_refused_by_name():
    with pytest.raises(ValueError, match=re.escape("env[1], Otherwise, must have the action space of env[0], Spinner: Box(-2.0")):
        environment([Spinner, Otherwise])
    with pytest.raises(
        ValueError, match=re.escape("env[2], Wider, must have the observation space of env[0], Spinner, but for its")
    ):
        environment([Spinner, Spinner, Wider])
    assert environment([Spinner, Bounded]).n_tasks == 2


def test_no_environment_and_environments_of_several_rewards_are_refused():
    class Vector(Spinner):
        reward_space = Box(-1, 1, (2,))

        def step(self, action):
            observation, reward, *rest = super().step(action)
            return observation, np.array([reward, 0.0]), *rest

    with pytest.raises(ValueError, match="got an empty sequence"):
        environment([])
    with pytest.raises(
        ValueError, match=re.escape("env[1], Vector, must have a number as its reward where environments are tasks; it has 2")
    ):
        environment([Spinner, Vector])
    with pytest.raises(UnsupportedEnvError, match="a function makes it"):
        environment(["Pendulum-v1", Spinner], compiled=True)
    with pytest.raises(TypeError, match="or a list of these, got 3"):
        environment(["Pendulum-v1", 3])


def children():
    """Return the ids of this process's child processes that run."""
    listed = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    return set(itertools.chain(*listed))


@pytest.mark.skipif(not Path("/proc/thread-self/children").exists(), reason="finds worker processes in /proc")
def test_several_environments_can_be_evaluated_again_after_close():
    before = children()
    sampler = make_sampler(environment([LIGHT, Spinner]), POLICY, n_workers=2)
    first = sampler.evaluate(CANDIDATES, FILTER, SEEDS, True)
    workers = children() - before
    assert len(workers) == 4  # two for each environment
    sampler.close()
    assert children() == before
    again = sampler.evaluate(CANDIDATES, FILTER, SEEDS, True)
    for ours, theirs in zip(
        (*again[:3], again.task_returns, *again.moments), (*first[:3], first.task_returns, *first.moments), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert len(children() - before - workers) == 4
    assert again.n_restarts == 0  # these are new workers, not replaced ones
    sampler.close()
    assert children() == before
