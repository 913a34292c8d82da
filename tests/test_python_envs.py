"""The trainer on environments that are stepped in Python.

Broken on purpose: the candidate's number is logged as the direction, or the first candidate's weights are kept, or there is one
attempt -> test_failures_of_one_step_in_a_thousand_are_logged_and_can_be_seen_again red. The walker's world is kept from episode to
episode -> test_box2d_trains red in one run of three: the workers take the episodes as they are free.
"""

import copy
import dataclasses
import logging
import pickle
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import broken_envs
import faulty_envs
import gymnasium
import numpy as np
import pytest

from fastars import (
    ARS,
    CheckpointError,
    NonFiniteReturnsError,
    UnsupportedEnvError,
    evaluate_candidates,
    evaluate_policy,
    reference,
)
from fastars.files import checkpoint
from fastars.logger import Logger
from fastars.replay import replay
from fastars.training.failures import FailureLog

TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def files_of_failures_stay_here(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def trained(env, n_iterations=4, **settings):
    """A model after some iterations, of an environment or going on with a model; its workers are stopped."""
    settings = {"n_delta": 4, "seed": 3, **settings}
    model = env if isinstance(env, ARS) else ARS("LinearPolicy", env, **settings)
    model.learn(10**9, lambda local, _: local["self"].iteration < n_iterations, reset_num_timesteps=False)
    model.close()
    return model


def same(a, b):
    np.testing.assert_array_equal(a.theta, b.theta)
    assert (a.num_timesteps, a.num_episodes, a.dropped_pairs) == (b.num_timesteps, b.num_episodes, b.dropped_pairs)
    for ours, theirs in zip(a.state.moments, b.state.moments, strict=True):
        np.testing.assert_array_equal(ours, theirs)


# --- One result


@pytest.mark.parametrize("variant", ["V1", "V2"])
def test_compiled_and_python_paths_train_the_same_cartpole(variant):
    compiled, python = (trained("CartPole-v1", variant=variant, compiled=compiled) for compiled in (True, False))
    assert (compiled.is_compiled, python.is_compiled) == (True, False)
    same(compiled, python)


def test_compiled_and_python_paths_train_the_same_pendulum_to_its_parity():
    compiled, python = (trained("Pendulum-v1", variant="V2", delta_std=0.5, compiled=compiled) for compiled in (True, False))
    np.testing.assert_allclose(compiled.theta, python.theta, rtol=1e-9)
    assert compiled.num_timesteps == python.num_timesteps


def test_theta_does_not_depend_on_workers():
    one = trained("CartPole-v1", variant="V2", compiled=False)
    for n_workers in (2, 3, 4):
        same(one, trained("CartPole-v1", variant="V2", compiled=False, n_workers=n_workers))


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
@pytest.mark.parametrize("kind", ["sync", "compiled"])
def test_theta_is_the_same_in_vector_environments_of_every_autoreset_mode(kind, mode):
    one = trained("CartPole-v1", variant="V2", compiled=False)
    setting = {"autoreset_mode": gymnasium.vector.AutoresetMode(mode)}
    if kind == "sync":
        vector = gymnasium.make_vec("CartPole-v1", 3, "sync", vector_kwargs=setting)
    else:
        vector = gymnasium.make_vec("fastars/CartPole-v1", 3, **setting)
    same(one, trained(vector, variant="V2"))
    vector.close()


def test_theta_is_the_same_however_the_environment_is_given():
    by_id = trained("Walk-v0")
    instance = gymnasium.make("Walk-v0")
    for env in (instance, broken_envs.Walk, lambda: gymnasium.make("Walk-v0"), copy.deepcopy(instance)):
        same(by_id, trained(env))
    same(by_id, trained(gymnasium.make("Walk-v0"), n_workers=2))
    instance.reset(seed=0)  # it is still open


# --- Which way it went


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ("FrozenLake-v1", "not a compiled one"),
        (lambda: gymnasium.make("CartPole-v1"), "a function makes it"),
        (lambda: gymnasium.wrappers.TransformReward(gymnasium.make("CartPole-v1"), abs), "a function makes it"),
    ],
)
def test_the_sampler_says_why_it_is_python(env, reason):
    model = ARS("LinearPolicy", env, seed=0)
    assert reason in repr(model.sampler)
    assert not model.is_compiled


def test_a_wrapper_is_the_reason():
    model = ARS(
        "LinearPolicy", gymnasium.wrappers.RescaleAction(gymnasium.make("Pendulum-v1"), np.float32(-1), np.float32(1)), seed=0
    )
    assert "has the wrapper RescaleAction" in repr(model.sampler)


@pytest.mark.parametrize("env_id", ["fastars/CartPole-v1", "gymnasium:CartPole-v1"])
def test_an_id_may_name_its_module_or_our_namespace(env_id):
    model = ARS("LinearPolicy", env_id, seed=0)
    assert (model.is_compiled, model.env_id) == (True, "CartPole-v1")


def test_an_id_with_a_module_imports_it(tmp_path, monkeypatch):
    (tmp_path / "walks_of_ours.py").write_text(
        "import gymnasium, broken_envs\ngymnasium.register('OurWalk-v0', entry_point=broken_envs.Walk)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert not ARS("LinearPolicy", "walks_of_ours:OurWalk-v0").is_compiled


def test_workers_of_a_compiled_environment_are_a_warning():
    with pytest.warns(UserWarning, match="n_workers=2 has no effect: CartPole-v1 runs in compiled kernels"):
        ARS("LinearPolicy", "CartPole-v1", n_workers=2)


def test_the_reference_runs_compiled_environments_only():
    ARS("LinearPolicy", "CartPole-v1", backend="numpy").close()
    with pytest.raises(UnsupportedEnvError, match=r"backend 'numpy' needs an environment that is compiled: .*FrozenLake"):
        ARS("LinearPolicy", "FrozenLake-v1", backend="numpy")


def test_the_way_is_logged_once(caplog):
    with caplog.at_level(logging.INFO, "fastars"):
        trained("Walk-v0")
    assert len([record for record in caplog.records if "Walk-v0 runs in Python" in record.getMessage()]) == 1


def test_compiled_true_raises_where_it_cannot_be():
    with pytest.raises(UnsupportedEnvError, match="not a compiled one"):
        ARS("LinearPolicy", "FrozenLake-v1", compiled=True)


def test_an_unknown_id_is_an_error_with_near_names():
    with pytest.raises(UnsupportedEnvError, match="CartPole-v1"):
        ARS("LinearPolicy", "CartPol-v1")


# --- Time limits


@pytest.mark.promise(20)
def test_an_environment_without_a_time_limit_gets_a_cap():
    class Endless(broken_envs.Walk):
        def step(self, action):
            observation, reward, _, _, info = super().step(action)
            return observation, reward, False, False, info

    model = ARS("LinearPolicy", Endless, n_delta=1, seed=0)
    assert model.evaluate(1).lengths.tolist() == [10_000]
    capped = ARS("LinearPolicy", Endless, n_delta=1, seed=0, max_episode_steps=7)
    assert capped.evaluate(2).lengths.tolist() == [7, 7]


@pytest.mark.promise(20)
@pytest.mark.parametrize("compiled", [True, False])
def test_the_cap_shortens_any_episode(compiled):
    model = ARS("LinearPolicy", "Pendulum-v1", max_episode_steps=9, compiled=compiled, seed=0)
    assert model.evaluate(3).lengths.tolist() == [9, 9, 9]


# --- Spaces of other people's environments


@pytest.mark.parametrize("env", ["FrozenLake-v1", "Taxi-v4", "Blackjack-v1", "CliffWalking-v1"])
def test_toy_text_trains_and_its_policy_plays(env):
    model = trained(env, 2, n_delta=2, n_eval_episodes=2, max_episode_steps=50)
    assert np.isfinite(model.theta).all()
    assert model.num_timesteps > 0
    ours = model.evaluate(5, seed=10)
    theirs = evaluate_policy(model, gymnasium.make(env, max_episode_steps=50), 5, seed=10, return_episode_rewards=True)
    assert (ours.returns.tolist(), ours.lengths.tolist()) == (theirs[0], theirs[1])


def test_wrapped_environments_are_replayed_by_evaluate_policy():
    def make():
        env = gymnasium.wrappers.RescaleAction(gymnasium.make("Pendulum-v1"), np.float32(-1), np.float32(1))
        return gymnasium.wrappers.TimeLimit(gymnasium.wrappers.FlattenObservation(env), 30)

    model = trained(make, 2, delta_std=1.0)
    returns, lengths = evaluate_policy(model, make(), 3, seed=5, return_episode_rewards=True)
    ours = model.evaluate(3, seed=5)
    assert (ours.returns.tolist(), ours.lengths.tolist()) == (returns, lengths)
    assert lengths == [30, 30, 30]


class MadeAnew(gymnasium.Wrapper):
    """A new environment for each episode, as docs/environments.md shows it."""

    def reset(self, **kwargs):
        self.env.close()
        self.env = gymnasium.make(self.spec.id, **self.spec.kwargs)
        return self.env.reset(**kwargs)


def lander():
    return gymnasium.make("LunarLander-v3", continuous=True, max_episode_steps=60)


def walker():
    return gymnasium.wrappers.TimeLimit(MadeAnew(gymnasium.make("BipedalWalker-v3")), 60)


@pytest.mark.parametrize("make", [lander, walker])
def test_box2d_trains(make):
    pytest.importorskip("Box2D", reason="needs gymnasium[box2d]")
    model = trained(make, 2, n_delta=2, delta_std=0.5, max_episode_steps=60)
    returns, _ = evaluate_policy(model, make(), 40, seed=5, return_episode_rewards=True)
    assert model.evaluate(40, seed=5).returns.tolist() == returns


class Sloppy(broken_envs.Walk):
    """Gives float64 numbers where its space says float32; its rewards are its actions."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)

    def step(self, action):
        observation, _, terminated, truncated, info = super().step(action)
        return observation, float(action[0]), terminated, truncated, info


def test_observations_are_rounded_as_their_space_says():
    model = trained(Sloppy, 1, zero_policy=False)
    returns, _ = evaluate_policy(model, Sloppy(), 5, seed=3, return_episode_rewards=True)
    assert model.evaluate(5, seed=3).returns.tolist() == returns
    vector = ARS("LinearPolicy", SloppyVector(), seed=0)
    vector.policy.load_from_vector(model.theta)
    assert vector.evaluate(5, seed=3).returns.tolist() == returns


class SloppyVector(gymnasium.vector.SyncVectorEnv):
    def __init__(self):
        super().__init__([Sloppy, Sloppy])

    def step(self, actions):
        _, *others = super().step(actions)
        return np.array(self._env_obs), *others

    def reset(self, **kwargs):
        _, info = super().reset(**kwargs)
        return np.array(self._env_obs), info


def test_candidates_are_evaluated_in_python_environments():
    weights = np.random.default_rng(0).normal(size=(6, 2))
    here = evaluate_candidates("Walk-v0", weights, np.arange(6))
    there = evaluate_candidates("Walk-v0", weights, np.arange(6), n_workers=2)
    np.testing.assert_array_equal(here.returns, there.returns)
    assert len(set(here.returns)) == 6


# --- Failures


def failures(caplog):
    return [record.getMessage() for record in caplog.records if "failed in" in record.getMessage()]


@pytest.mark.promise(9)
@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_failure_is_logged_with_its_place_its_traceback_and_a_command_that_repeats_it(n_workers, tmp_path, caplog, tally):
    model = ARS("LinearPolicy", "Raises-v0", n_delta=16, seed=0, n_workers=n_workers)
    model.set_logger(Logger(tmp_path, formats=[]))
    model.learn(1)
    model.close()
    messages = failures(caplog)
    assert model.env_failures == len(messages) >= 4
    assert model.record["health/env_failures"] == model.env_failures
    assert 0 < model.dropped_pairs < 16  # pairs of two even seeds are left
    first = messages[0]
    place = r"Raises-v0 failed in iteration 1, direction (\d), sign [+-], episode 0, seed (\d+) \(attempt 1, tried again\)"
    assert re.match(place, first)
    assert "ArithmeticError: the floor gave way" in first
    assert "in step\n" in first  # the line of the environment's own code
    command = re.search(r"to see it again: (.*)", first).group(1)
    python, *arguments = shlex.split(command)
    assert python == "python"
    assert arguments[-1] == "broken_envs:Raises-v0"
    done = subprocess.run([sys.executable, *arguments], cwd=TESTS, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    gave_way = re.search(r"ArithmeticError: the floor gave way at (\S+)", first).group(1)
    assert f"the floor gave way at {gave_way}" in done.stderr  # the very same step of the same policy
    tally(f"failures in one fixed step logged, n_workers={n_workers}", len(messages), of=len(messages))


def raising_episodes(n_delta, n_iterations):
    """(iteration from 1, direction, sign, seed) of the episodes that raise, by a plain loop over the seeds of a run."""
    env, found = faulty_envs.SometimesRaises(), []
    for iteration in range(n_iterations):
        seeds = reference.episode_seeds(np.uint64(0), iteration, n_delta, 1, False)
        for direction, sign in np.ndindex(n_delta, 2):
            env.reset(seed=int(seeds[direction, sign, 0]))
            try:
                while not env.step([0.0])[2]:
                    pass
            except ArithmeticError:
                found.append((iteration + 1, direction, "+-"[sign], int(seeds[direction, sign, 0])))
    return found


@pytest.mark.promise(9)
@pytest.mark.parametrize("n_workers", [1, 2])
def test_failures_of_one_step_in_a_thousand_are_logged_and_can_be_seen_again(n_workers, tmp_path, caplog, tally):
    """Which they are, a plain loop says. Each is tried again, and the command in the log shows it again, with the same policy."""
    n_delta, n_iterations = 32, tally.of(fast=6, full=300)
    expected = raising_episodes(n_delta, n_iterations)
    model = ARS("LinearPolicy", faulty_envs.SometimesRaises, n_delta=n_delta, seed=0, n_workers=n_workers)
    model.set_logger(Logger(tmp_path, formats=[]))
    for _ in range(n_iterations):
        model.learn(1, reset_num_timesteps=False)
    model.close()
    place = r"iteration (\d+), direction (\d+), sign ([+-]), episode 0, seed (\d+) \(attempt ([12]), (tried again|given up)"
    logged = [re.search(place, message).groups() for message in failures(caplog)]
    attempts = [(*map(str, episode), *attempt) for episode in expected for attempt in (("1", "tried again"), ("2", "given up"))]
    assert sorted(logged) == sorted(attempts)
    assert model.env_failures == 2 * len(expected) > 0
    assert model.dropped_pairs == len({episode[:2] for episode in expected})
    assert np.isfinite(model.theta).all()
    commands = dict(found.groups() for each in failures(caplog) if (found := re.search(SEEN_AGAIN, each, re.DOTALL)))
    assert len(commands) == min(len(expected), 20)
    for command, said in list(commands.items())[: tally.of(fast=1, full=20)]:
        _, *arguments = shlex.split(command)
        done = subprocess.run([sys.executable, *arguments], cwd=TESTS, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.rstrip().endswith(said)  # the very same step of the same policy
    tally(f"episodes that raised, logged twice and dropped, n_workers={n_workers}", len(expected), of=len(expected))
    tally(f"of these seen again, n_workers={n_workers}", tally.of(fast=1, full=20), of=tally.of(fast=1, full=20))


SEEN_AGAIN = r"to see it again: (python [^\n]*).*?(ArithmeticError: the floor gave way at \S+)"


def test_a_factory_is_named_in_the_command(caplog, tmp_path):
    model = ARS("LinearPolicy", broken_envs.raising, n_delta=2, seed=1)
    model.set_logger(Logger(tmp_path, formats=[]))
    model.learn(1)
    assert "broken_envs:raising" in failures(caplog)[0]
    with pytest.raises(ArithmeticError, match="the floor gave way"):
        replay(tmp_path / "failures" / "failure_0.zip", "broken_envs:raising")


def test_the_same_traceback_is_shown_once(caplog):
    class Same(broken_envs.Raises):
        def step(self, action):
            if self.n_steps == 6 and self.seed % 2:
                raise ArithmeticError("as always")
            return super().step(action)

    ARS("LinearPolicy", Same, n_delta=8, seed=0).learn(1)
    messages = failures(caplog)
    assert [("Traceback" in message) for message in messages] == [True] + [False] * (len(messages) - 1)
    assert "ArithmeticError: as always (as before)" in messages[-1]


@pytest.mark.promise(9)
def test_an_environment_that_always_fails_is_an_error_at_once(caplog):
    with pytest.raises(NonFiniteReturnsError, match="failed in every episode of the first iteration"):
        ARS("LinearPolicy", broken_envs.AlwaysRaises, n_delta=2, seed=0).learn(1)
    assert "ConnectionError: no simulator at this address" in failures(caplog)[0]


def test_what_is_no_file_of_an_episode_is_refused(tmp_path):
    trained("Walk-v0", 1).save(tmp_path / "model.zip")
    with pytest.raises(CheckpointError, match="not the file of an episode"):
        replay(tmp_path / "model.zip")


def kept_failure(env, folder):
    """The file of a failed episode in `env`, and the environment as the log's command names it."""
    model = ARS("LinearPolicy", env, n_delta=4, seed=0)
    model.set_logger(Logger(folder, formats=[]))
    model.learn(1)
    return folder / "failures" / "failure_0.zip", FailureLog(env, model.run.env).env_name


class Late(broken_envs.Walk):
    """Raises in step `at` of an episode with an odd seed."""

    def __init__(self, at=5, of=None):
        self.at = at

    def step(self, action):
        if self.n_steps == self.at and self.seed % 2:
            raise ArithmeticError(f"step {self.at}")
        return super().step(action)


gymnasium.register("Late-v0", entry_point="test_python_envs:Late", max_episode_steps=15)


def test_an_episode_is_replayed_with_the_arguments_and_the_time_limit_of_the_run(tmp_path):
    env = gymnasium.make("Late-v0", at=17, max_episode_steps=19)
    path, name = kept_failure(env, tmp_path)
    assert name == "test_python_envs:Late-v0"
    assert FailureLog(env, ARS("LinearPolicy", env).run.env).env_options == ["--env-kwargs", "at=17"]
    with pytest.raises(ArithmeticError, match="step 17"):
        replay(path, name, {"at": 17})
    for named in (None, name, "Late-v0"):  # an id is not the user's word for arguments
        with pytest.raises(CheckpointError, match="its environment 'Late-v0' can't be made: it was made with at=17; name it"):
            replay(path, named)


def test_an_episode_of_a_registered_environment_is_replayed_without_naming_it(tmp_path):
    path, _ = kept_failure(gymnasium.make("Late-v0", max_episode_steps=19), tmp_path)
    with pytest.raises(ArithmeticError, match="step 5"):
        replay(path)


@pytest.mark.parametrize(
    "env",
    [
        lambda: gymnasium.wrappers.TransformReward(gymnasium.make("Late-v0"), abs),
        lambda: gymnasium.make("Late-v0", of=np.zeros(3)),
        lambda: Late(),
        lambda: lambda: Late(),
    ],
)
def test_what_an_id_does_not_stand_for_is_not_called_by_it(env, tmp_path):
    assert kept_failure(env(), tmp_path)[1] == "MODULE:FUNCTION_THAT_MAKES_IT"


@pytest.mark.parametrize("name", ["config", "env", "env_kwargs", "max_steps", "place"])
@pytest.mark.parametrize("value", [None, "os:system", [1], -1, {"env_id": "os:system"}])
def test_a_damaged_file_of_an_episode_is_refused(name, value, tmp_path):
    manifest, arrays = checkpoint.load(kept_failure("Late-v0", tmp_path)[0])
    checkpoint.save(tmp_path / "file.zip", {**manifest, name: value}, arrays)
    with pytest.raises(CheckpointError, match=r"file\.zip"):
        replay(tmp_path / "file.zip")


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("mean", np.zeros(1)),
        ("scale", np.zeros((2, 2))),
        ("mean", np.zeros(2, np.float32)),
        ("weights", np.zeros(3)),
        ("weights", np.full(2, np.nan)),
    ],
)
def test_an_array_of_another_shape_does_not_reach_the_kernels(name, array, tmp_path):
    manifest, arrays = checkpoint.load(kept_failure("Late-v0", tmp_path)[0])
    checkpoint.save(tmp_path / "file.zip", manifest, {**arrays, name: array})
    with pytest.raises(CheckpointError, match=f"not an episode of this version: {name} must"):
        replay(tmp_path / "file.zip")


# --- What is refused

SPACE = gymnasium.spaces.Dict(a=gymnasium.spaces.Discrete(3), b=gymnasium.spaces.Box(-1, 1, (2,)))


class Sees(broken_envs.Walk):
    def __init__(self, space):
        self.observation_space = space


@pytest.mark.parametrize("observation", [5, None, {}, {"a": 1}, {"a": 7, "b": np.zeros(2)}, {"a": 1, "b": None}])
def test_what_is_no_observation_is_a_value_error(observation):
    with pytest.raises(ValueError, match="observation"):
        ARS("LinearPolicy", Sees(SPACE), seed=0).predict(observation)


@pytest.mark.parametrize("space", [SPACE["a"], SPACE["b"]])
def test_no_observations_have_no_actions(space):
    observations = np.zeros((0, *space.shape), space.dtype)
    assert ARS("LinearPolicy", Sees(space), seed=0).predict(observations)[0].shape == (0, 1)


@pytest.mark.parametrize("value", ["100", 2.5, 0, True])
def test_a_wrong_cap_is_named(value):
    with pytest.raises((TypeError, ValueError), match="max_episode_steps must be an integer"):
        ARS("LinearPolicy", "CartPole-v1", max_episode_steps=value)


# --- Files


def test_a_run_goes_on_from_its_file_bit_for_bit(tmp_path):
    whole = trained("Walk-v0", 6, variant="V2")
    half = trained("Walk-v0", 3, variant="V2")
    half.save(tmp_path / "half.zip")
    for env in (None, "Walk-v0", broken_envs.Walk):
        model = ARS.load(tmp_path / "half.zip", env=env)
        model.learn(10**9, lambda local, _: local["self"].iteration < 6, reset_num_timesteps=False)
        same(whole, model)


def test_a_file_does_not_name_modules_to_import(tmp_path):
    model = trained("Walk-v0", 1)
    model.run = dataclasses.replace(model.run, env=model.run.env._replace(id="this:Walk-v0"))
    model.save(tmp_path / "model.zip")
    with pytest.raises(CheckpointError, match="not registered here"):
        ARS.load(tmp_path / "model.zip").evaluate(1)


@pytest.mark.parametrize(
    ("env", "settings"),
    [
        (lambda: gymnasium.make("Walk-v0", max_episode_steps=7), {}),
        (lambda: gymnasium.make("Raises-v0", max_episode_steps=19), {}),
        (lambda: gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="sync", max_episode_steps=7), {}),
        (lambda: "Pendulum-v1", {"compiled": False, "max_episode_steps": 9}),
    ],
)
def test_the_environment_of_a_file_is_that_of_the_run(env, settings, tmp_path):
    model = trained(env(), 1, **settings)
    model.save(tmp_path / "model.zip")
    loaded = ARS.load(tmp_path / "model.zip")
    assert (loaded.is_compiled, loaded.env_kwargs) == (False, model.env_kwargs)
    same(trained(model, 4), trained(loaded, 4))


def negated(env):
    return gymnasium.wrappers.TransformReward(env, lambda reward: -reward)


def heavier():
    env = gymnasium.make("Pendulum-v1")
    env.unwrapped.g = 20.0
    return env


@pytest.mark.parametrize(
    ("env", "why"),
    [
        (lambda: negated(gymnasium.make("Walk-v0")), r"it had other wrappers around it \(TransformReward\)"),
        (lambda: negated(gymnasium.make("CartPole-v1")), r"it had other wrappers around it \(TransformReward\)"),
        (lambda: lambda: negated(gymnasium.make("CartPole-v1")), r"it had other wrappers around it \(TransformReward\)"),
        (
            lambda: gymnasium.make_vec("Walk-v0", 2, vectorization_mode="sync", wrappers=[negated]),
            r"it had other wrappers around it \(negated\)",
        ),
        (heavier, "it is compiled, and was not: env 'Pendulum-v1' was changed: its attribute g is 20.0"),
        (lambda: gymnasium.make("FrozenLake-v1", map_name="8x8"), "it was made with map_name='8x8'"),
        (lambda: gymnasium.make("FrozenLake-v1", desc=np.array([list("SF"), list("FG")])), r"it was made with desc=\"array"),
    ],
)
def test_an_environment_that_its_id_does_not_stand_for_is_asked_for(env, why, tmp_path):
    model = trained(env(), 1)
    model.save(tmp_path / "model.zip")
    with pytest.raises(CheckpointError, match=f"can't be made: {why}.*; ARS.load\\(path, env=...\\) takes one that can"):
        ARS.load(tmp_path / "model.zip").learn(1)
    same(trained(model, 2), trained(ARS.load(tmp_path / "model.zip", env=env()), 2))


def test_the_cap_is_kept_in_the_file(tmp_path):
    trained("Walk-v0", 1, max_episode_steps=5).save(tmp_path / "model.zip")
    assert ARS.load(tmp_path / "model.zip").evaluate(2).lengths.tolist() == [5, 5]


# --- What users do


def test_a_function_that_gives_the_same_environment_again_is_run_in_one():
    env = gymnasium.make("CartPole-v1")
    same(trained("CartPole-v1", compiled=False), trained(lambda: env))


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_model_can_be_copied_and_pickled(n_workers):
    model = trained("Walk-v0", 2, n_workers=n_workers)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        other.learn(10**9, lambda local, _: local["self"].iteration < 4, reset_num_timesteps=False)
        same(other, trained("Walk-v0", 4))
        other.close()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"env": 5}, TypeError, "env must be an id, an environment, a vector environment, a MujocoTask, a function .* got 5"),
        ({"env": gymnasium.Env}, TypeError, "must make a gymnasium.Env with an observation and an action space"),
        (
            {"env": "Walk-v0", "env_timeout": "abc"},
            TypeError,
            "env_timeout must be a positive number of seconds or None, got 'abc'",
        ),
        ({"env": "CartPole-v1", "env_timeout": True}, TypeError, "env_timeout must be .*, got True"),
    ],
)
def test_what_is_no_environment_or_timeout_is_named(settings, error, message):
    with pytest.raises(error, match=message):
        ARS("LinearPolicy", **settings)


def test_evaluations_can_be_cut_short():
    model = trained("Walk-v0", 1)
    assert evaluate_policy(model, "Walk-v0", 2, return_episode_rewards=True, max_episode_steps=7)[1] == [7, 7]
    assert evaluate_candidates("Walk-v0", np.zeros((2, 2)), [0, 1], max_episode_steps=7).lengths.tolist() == [7, 7]
    assert evaluate_candidates("Pendulum-v1", np.zeros((2, 3)), [0, 1], max_episode_steps=7).lengths.tolist() == [7, 7]
