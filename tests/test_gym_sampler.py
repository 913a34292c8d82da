"""Environments that are stepped in Python: against plain loops, kernels, worker processes and vector environments."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import faulty_envs
import gymnasium
import numba
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from fastars import reference
from fastars._compiled.structs import (
    NONFINITE,
    TERMINATED,
    TRUNCATED,
    Clip,
    Filter,
    LinearPolicy,
    MlpPolicy,
    Relu,
    Tanh,
    identity_filter,
)
from fastars.envs import UnsupportedEnvError, environment, make
from fastars.envs.spaces import flattener
from fastars.kernels.policy_layout import n_weights
from fastars.samplers import make_sampler
from fastars.samplers.gym import GymSampler

TESTS = Path(__file__).parent
needs_posix = pytest.mark.skipif(os.name != "posix", reason="worker processes need POSIX")


def case(env, policy=LinearPolicy(), n=6, per_candidate=2, scale=0.5, seed=0):  # noqa: B008 - a constant
    """Candidates, a filter and seeds for an environment."""
    draw = np.random.default_rng(seed)
    weights = scale * draw.standard_normal((n, n_weights(policy, env.n_obs, env.n_act)))
    filter = Filter(0.1 * draw.standard_normal(env.n_obs), draw.uniform(0.5, 1.5, env.n_obs), 3.0)
    return weights, filter, draw.integers(0, 2**32, n * per_candidate, np.uint64)


def evaluated(env, policy=LinearPolicy(), n_workers=1, envs_per_worker=None, **settings):  # noqa: B008
    """Return the rollouts of the candidates of `case`."""
    sampler = GymSampler(env, env.rollout_spec(policy), n_workers, envs_per_worker=envs_per_worker)
    try:
        return sampler.evaluate(*case(env, policy, **settings), True, on_failure=lambda failure: pytest.fail(failure.text))
    finally:
        sampler.close()


def same(ours, theirs):
    for a, b in zip((*ours[:3], *ours.moments), (*theirs[:3], *theirs.moments), strict=True):
        np.testing.assert_array_equal(a, b)


def plain_episode(made, env, weights, filter, seed):
    """One episode in a plain loop: (return, length, status, observations acted on)."""
    flat, (low, high) = flattener(env.observation_space), env.rollout_spec(LinearPolicy())[3:5]
    observation, _ = made.reset(seed=int(seed))
    total, observations, space = 0.0, [], env.action_space
    while True:
        observations.append(np.asarray(flat(observation), np.float64))
        if not np.isfinite(observations[-1]).all():
            return np.nan, len(observations) - 1, NONFINITE, observations[:-1]
        scores = reference.action_scores(LinearPolicy(), weights, observations[-1], filter)
        if isinstance(space, spaces.Discrete):
            action = int(space.start + np.argmax(scores))
        else:
            action = np.clip(scores.astype(space.dtype), low, high).reshape(space.shape)
        observation, reward, terminated, truncated, _ = made.step(action)
        total += float(reward)
        if not np.isfinite(reward):
            return np.nan, len(observations), NONFINITE, observations
        if terminated or truncated or len(observations) == env.max_steps:
            return total, len(observations), TERMINATED if terminated else TRUNCATED, observations


def wrapped_pendulum():
    env = gymnasium.wrappers.RescaleAction(gymnasium.make("Pendulum-v1"), np.float32(-1), np.float32(1))
    return gymnasium.wrappers.TimeLimit(gymnasium.wrappers.FlattenObservation(env), 60)


# --- One episode


@pytest.mark.parametrize("env_id", ["CartPole-v1", "FrozenLake-v1", "Taxi-v4", "Blackjack-v1", wrapped_pendulum, faulty_envs.Line])
def test_episodes_are_those_of_a_plain_loop(env_id):
    env = environment(env_id, compiled=False, max_episode_steps=80)
    weights, filter, seeds = case(env)
    ours = evaluated(env)
    made = gymnasium.make(env_id) if isinstance(env_id, str) else env_id()
    for j, seed in enumerate(seeds):
        *outcome, observations = plain_episode(made, env, weights[j // 2], filter, seed)
        assert [ours.returns[j], ours.lengths[j], ours.status[j]] == outcome
        np.testing.assert_allclose(ours.moments.mean[j], np.mean(observations, axis=0), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(ours.moments.m2[j], len(observations) * np.var(observations, axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(ours.moments.count, ours.lengths)


@pytest.mark.parametrize(
    ("env_id", "policy"),
    [
        ("CartPole-v1", LinearPolicy()),
        ("CartPole-v1", MlpPolicy((5, 4), Tanh())),
        ("MountainCar-v0", LinearPolicy(True)),
        ("MountainCarContinuous-v0", LinearPolicy()),
        ("MountainCarContinuous-v0", MlpPolicy((8,), Relu(), False)),
    ],
)
def test_compiled_and_python_paths_give_the_same_bits(env_id, policy):
    python, compiled = environment(env_id, compiled=False), environment(env_id)
    weights, filter, seeds = case(python, policy)
    same(evaluated(python, policy), make_sampler(compiled, policy, n_threads=1).evaluate(weights, filter, seeds, True))


def test_simulated_and_python_paths_give_the_same_bits():
    pytest.importorskip("mujoco")
    python, compiled = environment("Hopper-v5", compiled=False), environment("Hopper-v5")
    weights, filter, seeds = case(python)
    same(evaluated(python), make_sampler(compiled, LinearPolicy(), n_threads=1).evaluate(weights, filter, seeds, True))


@needs_posix
@pytest.mark.parametrize("is_instance", [True, False])
def test_mujocos_warnings_leave_no_file_in_the_users_folder(is_instance, tmp_path, monkeypatch, capfd):
    pytest.importorskip("mujoco")
    monkeypatch.chdir(tmp_path)
    env = environment(make("HalfCheetah-v5") if is_instance else "HalfCheetah-v5", compiled=False, max_episode_steps=3)
    for n_workers in (1, 2):
        evaluated(env, LinearPolicy(), n_workers)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


class Endless(faulty_envs.Line):
    def step(self, action):
        observation, reward, _, _, info = super().step(action)
        return observation, reward, False, False, info


@pytest.mark.promise(20)
def test_an_episode_without_an_end_is_truncated_at_the_cap():
    rollouts = evaluated(environment(Endless, max_episode_steps=30))
    assert rollouts.lengths.tolist() == [30] * 12
    assert rollouts.status.tolist() == [TRUNCATED] * 12


@pytest.mark.promise(20)
def test_the_last_step_within_the_cap_still_terminates():
    length = faulty_envs.N_STEPS - 2
    rollouts = evaluated(environment(faulty_envs.Line, max_episode_steps=length))
    assert set(zip(rollouts.lengths, rollouts.status, strict=True)) == {(length, TERMINATED), (length, TRUNCATED)}


class BadStart(faulty_envs.Line):
    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed)
        return observation + (np.inf if self.seed % 2 else 0.0), info


def test_an_episode_that_starts_with_a_bad_observation_has_no_steps():
    env = environment(BadStart)
    bad = case(env)[2] % 2 == 1
    rollouts = evaluated(env, envs_per_worker=3)
    assert 0 < bad.sum() < 12
    assert (rollouts.status[bad] == NONFINITE).all()
    assert (rollouts.lengths[bad] == 0).all()
    assert (rollouts.status[~bad] == TERMINATED).all()
    same(rollouts, evaluated(env, envs_per_worker=1))


ACTIONS = [
    spaces.Discrete(3, start=5),
    spaces.Box(-1.0, 1.0, (2, 3), np.float64),
    spaces.Box(np.float32(-0.5), np.float32(0.5), (2,), np.float32),
    spaces.Box(0, 9, (2,), np.int64),
    spaces.MultiDiscrete([3, 2], start=[1, 0]),
    spaces.MultiBinary(3),
]


class Strict(faulty_envs.Line):
    """Takes only actions of its space, and keeps them: they must stay what they were."""

    def __init__(self, space):
        self.action_space = space
        self.taken = []

    def step(self, action):
        assert self.action_space.contains(action), action
        self.taken.append((action, repr(action)))
        assert all(repr(kept) == was for kept, was in self.taken)
        return super().step([np.sum(action) * 0.01])


@pytest.mark.parametrize("space", ACTIONS, ids=str)
def test_actions_are_of_the_space_and_the_environments_own(space):
    env = environment(lambda: Strict(space))
    rollouts = evaluated(env, envs_per_worker=4, scale=3.0)
    assert len(set(rollouts.returns)) > 6
    np.testing.assert_array_equal(rollouts.returns, evaluated(env, scale=3.0, envs_per_worker=1).returns)


def test_observations_of_any_box_are_flattened():
    class Picture(faulty_envs.Line):
        observation_space = spaces.Box(0, 255, (2, 3), np.uint8)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.full((2, 3), seed % 200, np.uint8), {}

        def step(self, action):
            _, reward, *rest = super().step(action)
            return np.arange(6, dtype=np.uint8).reshape(2, 3), reward, *rest

    env = environment(Picture)
    rollouts = evaluated(env)
    seeds = case(env)[2]
    n = rollouts.lengths
    mean = ((seeds % 200).astype(float)[:, None] + (n[:, None] - 1) * np.arange(6)) / n[:, None]
    np.testing.assert_allclose(rollouts.moments.mean, mean)


# --- Side by side, and in worker processes


@needs_posix
@pytest.mark.parametrize("env_id", ["CartPole-v1", faulty_envs.Line, "Blackjack-v1"])
def test_one_result_for_any_number_of_workers_and_environments(env_id):
    env = environment(env_id, compiled=False)
    one = evaluated(env, n=10, per_candidate=3)
    assert len(set(one.lengths)) > 1
    for n_workers, envs_per_worker in [(1, 1), (1, 3), (1, 16), (2, None), (2, 4), (3, 1), (4, None)]:
        same(evaluated(env, LinearPolicy(), n_workers, envs_per_worker, n=10, per_candidate=3), one)


@needs_posix
def test_a_policy_with_layers_is_the_same_in_workers():
    env, policy = environment("CartPole-v1", compiled=False), MlpPolicy((16, 16), Tanh())
    same(evaluated(env, policy, 2), evaluated(env, policy))


def test_untracked_episodes_have_no_moments():
    env = environment(faulty_envs.Line)
    weights, filter, seeds = case(env)
    rollouts = GymSampler(env, env.rollout_spec(LinearPolicy())).evaluate(weights, filter, seeds, False)
    assert len(rollouts.moments.count) == 0
    np.testing.assert_array_equal(rollouts.returns, evaluated(env).returns)


def test_an_instance_is_stepped_itself_and_stays_open():
    class Counted(faulty_envs.Line):
        n_calls = n_closed = 0

        def step(self, action):
            Counted.n_calls += 1
            return super().step(action)

        def close(self):
            Counted.n_closed += 1

    env = environment(Counted())
    rollouts = evaluated(env, n=4)
    assert Counted.n_calls == rollouts.lengths.sum()
    assert Counted.n_closed == 0


def test_environments_that_were_made_are_closed():
    class Closed(faulty_envs.Line):
        n_open = 0

        def __init__(self):
            Closed.n_open += 1

        def close(self):
            Closed.n_open -= 1

    env = environment(Closed)
    assert Closed.n_open == 0
    sampler = GymSampler(env, env.rollout_spec(LinearPolicy()), envs_per_worker=3)
    sampler.evaluate(*case(env), False)
    assert Closed.n_open == 3
    sampler.close()
    assert Closed.n_open == 0
    sampler.evaluate(*case(env), False)
    del sampler
    assert Closed.n_open == 0


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="a kernel call takes longer than a step")
def test_cheap_steps_share_a_kernel_call_and_slow_ones_run_alone():
    env = environment(faulty_envs.Slow)
    sampler = GymSampler(env, env.rollout_spec(LinearPolicy()))
    sampler.evaluate(*case(env), False)
    assert "1 environment in this process" in repr(sampler)
    env = environment(faulty_envs.Line)
    sampler = GymSampler(env, env.rollout_spec(LinearPolicy()))
    sampler.evaluate(*case(env), False)
    assert sampler._runner.n_lanes > 2


@needs_posix
def test_repr_says_where_and_why():
    env = environment("FrozenLake-v1")
    here, there = (GymSampler(env, env.rollout_spec(LinearPolicy()), n, envs_per_worker=2) for n in (1, 3))
    assert repr(here).startswith("<GymSampler of FrozenLake-v1: in Python (env 'FrozenLake-v1' is a")
    assert "2 environments in this process" in repr(here)
    assert "2 environments in each of 3 worker processes" in repr(there)


@pytest.mark.parametrize(
    ("settings", "kind", "error"),
    [
        ({"n_workers": 0}, ValueError, "n_workers must be an integer of at least 1, got 0"),
        ({"envs_per_worker": 1.5}, ValueError, "envs_per_worker must be an integer of at least 1, got 1.5"),
        ({"env_timeout": 0}, ValueError, "env_timeout must be a positive number of seconds or None, got 0"),
        ({"env_timeout": "1 min"}, TypeError, "env_timeout must be a positive number of seconds or None, got '1 min'"),
    ],
)
def test_errors_name_the_argument(settings, kind, error):
    env = environment(faulty_envs.Line)
    with pytest.raises(kind, match=error):
        GymSampler(env, env.rollout_spec(LinearPolicy()), **settings)


SCRIPT = """
import gymnasium, numpy as np
from fastars._compiled.structs import LinearPolicy, identity_filter
from fastars.envs import environment
from fastars.samplers.gym import GymSampler

print("the script runs")

class Talks(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        try:
            print(f"reset {seed} {input()}")
        except EOFError:
            print(f"reset {seed}")
        return np.zeros(1, np.float32), {}
    def step(self, action):
        return np.zeros(1, np.float32), 2.0, True, False, {}

def make():
    return Talks()

env = environment(make)
sampler = GymSampler(env, env.rollout_spec(LinearPolicy()), 2)
print(sampler.evaluate(np.zeros((4, 2)), identity_filter(1), np.arange(4, dtype=np.uint64), False).returns)
"""


@needs_posix
@pytest.mark.parametrize("way", ["file", "stdin"])
def test_a_script_needs_no_main_guard_and_may_print(way, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, *(["script.py"] if way == "file" else ["-"])]
    source = SCRIPT if way == "stdin" else None
    done = subprocess.run(command, cwd=tmp_path, input=source, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert sorted(done.stdout.splitlines()) == [
        "[2. 2. 2. 2.]", "reset 0", "reset 1", "reset 2", "reset 3", "the script runs"
    ]  # fmt: skip


MANY_LINES = """
import gymnasium, numpy as np
from fastars import evaluate_candidates

class Talks(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        for _ in range(2000):
            print("a line of one episode")
        return np.zeros(1, np.float32), {}
    def step(self, action):
        return np.zeros(1, np.float32), 2.0, True, False, {}

evaluate_candidates(Talks, np.zeros((4, 2)), range(4), n_workers=2)
"""


@needs_posix
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_lines_of_two_workers_do_not_mix(unbuffered):
    command = [sys.executable, "-c", MANY_LINES]
    env = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert Counter(done.stdout.splitlines()) == {"a line of one episode": 8000}


# --- Vector environments

MODES = list(AutoresetMode)


def vector(env_id, n, mode=AutoresetMode.NEXT_STEP, kind=SyncVectorEnv):
    make = (lambda: gymnasium.make(env_id)) if isinstance(env_id, str) else env_id
    return kind([make] * n, autoreset_mode=mode)


@pytest.mark.promise(20)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("env_id", ["CartPole-v1", "Blackjack-v1", "FrozenLake-v1", BadStart, wrapped_pendulum])
def test_every_autoreset_mode_gives_the_episodes_of_single_environments(env_id, mode):
    single = evaluated(environment(env_id, compiled=False), n=5)
    for n in (1, 3, 16):
        given = vector(env_id, n, mode)
        same(evaluated(environment(given), n=5), single)
        given.reset(seed=0)  # it is still open
        given.close()


@pytest.mark.promise(8)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("fault", ["nan_observation", "infinite_reward"])
def test_bad_numbers_in_a_vector_environment(fault, mode):
    make = faulty_envs.make(getattr(faulty_envs, f"gives_{fault}"), n_bad=2**31)
    single = evaluated(environment(make), n=5)
    assert set(single.status) == {NONFINITE, TERMINATED}
    given = vector(make, 3, mode)
    same(evaluated(environment(given), n=5), single)


@pytest.mark.promise(20)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_the_cap_holds_in_vector_environments(mode):
    single = evaluated(environment(Endless, max_episode_steps=7), n=5)
    same(evaluated(environment(vector(Endless, 4, mode), max_episode_steps=7), n=5), single)


def test_an_asynchronous_vector_environment():
    given = vector("CartPole-v1", 2, AutoresetMode.DISABLED, AsyncVectorEnv)
    try:
        same(evaluated(environment(given)), evaluated(environment("CartPole-v1", compiled=False)))
    finally:
        given.close()


def test_a_vector_environment_that_cannot_be_told_its_mode_runs_in_waves():
    given = vector("CartPole-v1", 3, AutoresetMode.SAME_STEP)
    given.metadata = {}
    same(evaluated(environment(given)), evaluated(environment("CartPole-v1", compiled=False)))


def test_a_vector_environment_without_a_seed_for_each_is_refused():
    given = gymnasium.make_vec("CartPole-v1", 3, "vector_entry_point")
    with pytest.raises(UnsupportedEnvError, match="CartPoleVectorEnv can't be reset with a list of seeds"):
        evaluated(environment(given))


def test_a_vector_environment_needs_no_workers():
    env = environment(vector("CartPole-v1", 2))
    with pytest.raises(UnsupportedEnvError, match="use n_workers=1"):
        GymSampler(env, env.rollout_spec(LinearPolicy()), 2)


def test_what_a_vector_environment_raises_is_passed_on():
    env = environment(vector(faulty_envs.make(faulty_envs.raises, n_bad=2**32), 2))
    sampler = GymSampler(env, env.rollout_spec(LinearPolicy()))
    with pytest.raises(ArithmeticError, match="the floor gave way"):
        sampler.evaluate(*case(env), False)


def test_what_a_later_reset_raises_is_passed_on_as_it_is():
    class Leaves(faulty_envs.Line):
        n_resets = 0

        def reset(self, *, seed=None, options=None):
            Leaves.n_resets += 1
            if Leaves.n_resets > 4:
                raise ConnectionError("gone")
            return super().reset(seed=seed)

    env = environment(vector(Leaves, 2, AutoresetMode.DISABLED))
    with pytest.raises(ConnectionError, match="gone"):
        evaluated(env)


def test_all_steps_of_a_vector_environment_that_fills_its_places_count():
    class Counted(faulty_envs.Line):
        n_calls = 0

        def step(self, action):
            Counted.n_calls += 1
            return super().step(action)

    rollouts = evaluated(environment(vector(Counted, 4, AutoresetMode.DISABLED)), n=40)
    assert rollouts.lengths.sum() <= Counted.n_calls < 1.1 * rollouts.lengths.sum()


def test_clipped_actions_do_not_leave_the_bounds():
    env = environment(lambda: Strict(spaces.Box(np.float32(-0.1), np.float32(0.1), (2,))))
    assert isinstance(env.rollout_spec(LinearPolicy()).actions, Clip)
    sampler = GymSampler(env, env.rollout_spec(LinearPolicy()))
    arguments = np.full((1, 4), 1e6), identity_filter(2), np.arange(3, dtype=np.uint64), False
    sampler.evaluate(*arguments, on_failure=lambda failure: pytest.fail(failure.text))
