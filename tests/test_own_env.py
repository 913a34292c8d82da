"""An environment of the user's own: the same compiled and in plain Gymnasium, known by its content; errors name the function."""

import importlib.util
import logging
import math
import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numba
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiBinary
from gymnasium.utils.env_checker import check_env as gymnasium_check_env

import fastars
from fastars import ARS, CheckpointError, UnsupportedEnvError, compiled_env_ids, evaluate_candidates, evaluate_policy, register_env
from fastars._compiled.closure_digest import ClosureDigest
from fastars._compiled.structs import TERMINATED, TRUNCATED
from fastars.envs import USER_ENVS, compiled_env
from fastars.envs.vector import CompiledVectorEnv
from fastars.kernels.inspection import first_step
from fastars.scalar import clip, integers, sincos, standard_normal, tanh, uniform

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="holds compiled functions against uncompiled ones")
ROOT = Path(__file__).parent.parent

# --- Environments


class Pole(NamedTuple):
    """CartPole's constants in another order."""

    force: float = 10.0
    gravity: float = 9.8
    tau: float = 0.02
    masspole: float = 0.1
    total_mass: float = 0.1 + 1.0
    length: float = 0.5
    is_shy: bool = False


X_LIMIT = 2.4
THETA_LIMIT = 12 * 2 * math.pi / 360


def beyond(x, limit=THETA_LIMIT):
    return x < -limit or x > limit


def reset_pole(env, rng):
    return uniform(rng, -0.05, 0.05), uniform(rng, -0.05, 0.05), uniform(rng, -0.05, 0.05), uniform(rng, -0.05, 0.05)


def observe_all(env, state):
    return state


@numba.njit(fastmath=True)  # which is left out, as the helpers are compiled with the functions that call them
def accelerations(env, state, force):
    _, _, theta, theta_dot = state
    sine, cosine = sincos(theta)
    polemass_length = env.masspole * env.length
    temp = (force + polemass_length * (theta_dot * theta_dot) * sine) / env.total_mass
    theta_acc = (env.gravity * sine - cosine * temp) / (
        env.length * (4.0 / 3.0 - env.masspole * (cosine * cosine) / env.total_mass)
    )
    return temp - polemass_length * theta_acc * cosine / env.total_mass, theta_acc


def step_pole(env, state, action):
    x, x_dot, theta, theta_dot = state
    x_acc, theta_acc = accelerations(env, state, env.force if action == 1 else -env.force)
    x, x_dot = x + env.tau * x_dot, x_dot + env.tau * x_acc
    theta, theta_dot = theta + env.tau * theta_dot, theta_dot + env.tau * theta_acc
    terminated = beyond(x, X_LIMIT) or beyond(theta)
    return (x, x_dot, theta, theta_dot), (0.0 if env.is_shy else 1.0), terminated


def pole(**changes):
    settings = {
        "id": "OwnPole-v0",
        "constants": Pole(),
        "reset": reset_pole,
        "observe": observe_all,
        "step": step_pole,
        "observation_space": Box(-np.inf, np.inf, (4,)),
        "action_space": Discrete(2),
        "max_episode_steps": 500,
    }
    return register_env(**{**settings, **changes})


class Boat(NamedTuple):
    drag: float = 0.3
    n_winds: int = 3


def reset_boat(env, rng):
    wind = integers(rng, 0, env.n_winds)
    return standard_normal(rng), uniform(rng, -1, 1), wind


def observe_boat(env, state):
    x, v, wind = state
    return 0.1 * x, v, wind, 1


def step_boat(env, state, action):
    x, v, wind = state
    # In float32, the square of the action would have other bits.
    thrust = 0.1 * action[0] + 0.3 * clip(action[1], -0.5, 0.5) * action[1]
    v = v + 0.1 * (thrust + 0.05 * (wind - 1) - env.drag * v * abs(v))
    x = x + 0.1 * v
    return (x, v, wind), -math.sqrt(abs(x)) - 0.1 * (action[0] * action[0]), x * x > 4.0


def boat(**changes):
    settings = {
        "id": "OwnBoat-v0",
        "constants": Boat(),
        "reset": reset_boat,
        "observe": observe_boat,
        "step": step_boat,
        "observation_space": Box(-np.inf, np.inf, (4,)),
        "action_space": Box(np.array([-1, -2], np.float32), np.array([1, 3], np.float32)),
        "max_episode_steps": 150,
        "reward_threshold": -5,
    }
    return register_env(**{**settings, **changes})


def quadrotor():
    spec = importlib.util.spec_from_file_location("own_environment", ROOT / "examples" / "own_environment.py")
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return USER_ENVS["QuadrotorHover-v0"]


ENVS = {"pole": pole, "boat": boat, "quadrotor": quadrotor}


@pytest.fixture(params=ENVS)
def env(request):
    return ENVS[request.param]()


@pytest.fixture(autouse=True)
def _forget():
    yield
    for env_id in list(USER_ENVS):
        del USER_ENVS[env_id]
        gymnasium.registry.pop(env_id, None)


def candidates(env, n, seed=0):
    """Weights (n, n_weights) and seeds; CartPole's keep the pole up for a while."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((n, env.n_act * env.n_obs))
    if env.id == "OwnPole-v0":
        weights[::2] = 0.3 * weights[::2] + [0, 0, 0, 0, 0.1, 0.3, 3, 1]
    return weights, rng.integers(0, 2**63, n).astype(np.uint64)


def compiled_step(env):
    """(state, observation, next state, reward, terminated) of the first step under action 0, of kernels."""
    return first_step(env.constants, np.ones(4, np.uint64), 0)


def replay(env, weights, seed):
    """An episode in plain Gymnasium, scores summed from the first entry to the last: (return, length, terminated)."""
    made = gymnasium.make(env.id)
    rows = weights.reshape(env.n_act, -1).tolist()
    observation, _ = made.reset(seed=int(seed))
    total, length = 0.0, 0
    while True:
        scores = [0.0] * len(rows)
        for i, row in enumerate(rows):
            for w, x in zip(row, observation.tolist(), strict=True):
                scores[i] += w * x
        if isinstance(made.action_space, Discrete):
            action = made.action_space.start + max(range(len(rows)), key=scores.__getitem__)
        else:
            action = np.clip(np.array(scores, np.float32), made.action_space.low, made.action_space.high)
        observation, reward, terminated, truncated, _ = made.step(action)
        total, length = total + reward, length + 1
        if terminated or truncated:
            return total, length, terminated


# --- Compiled and plain


def test_episodes_are_those_of_plain_gymnasium_bit_for_bit(env):
    weights, seeds = candidates(env, 30)
    ours = evaluate_candidates(env.id, weights, seeds)
    theirs = [replay(env, row, seed) for row, seed in zip(weights, seeds, strict=True)]
    assert ours.returns.tolist() == [total for total, *_ in theirs]
    assert ours.lengths.tolist() == [length for _, length, _ in theirs]
    assert ours.status.tolist() == [TERMINATED if terminated else TRUNCATED for *_, terminated in theirs]
    assert len(set(ours.returns)) > 10


def test_environments_of_the_tests_end_in_both_ways():
    for env in (pole(), boat()):
        weights, seeds = candidates(env, 400)
        assert set(evaluate_candidates(env.id, weights, seeds).status) == {TERMINATED, TRUNCATED}


def test_cartpole_written_anew_has_the_bits_of_the_built_in_one():
    weights, seeds = candidates(pole(), 1000)
    ours, theirs = (evaluate_candidates(env_id, weights, seeds) for env_id in ("OwnPole-v0", "CartPole-v1"))
    assert ours.returns.tolist() == theirs.returns.tolist()
    assert len(set(ours.lengths)) > 100


def test_numpy_backend_is_the_twin(env):
    models = [ARS("LinearPolicy", env.id, n_delta=3, seed=3, backend=backend) for backend in ("numba", "numpy")]
    for model in models:
        model.learn(2)
    np.testing.assert_allclose(models[0].theta, models[1].theta, rtol=1e-9)
    assert models[0].num_timesteps == models[1].num_timesteps


def test_trained_policy_has_the_same_returns_in_both(env):
    model = ARS("LinearPolicy", env, n_delta=4, seed=1).learn(3000)
    ours = model.evaluate(5, seed=10)
    for form in (env.id, gymnasium.make(env.id)):
        returns, lengths = evaluate_policy(model, form, 5, return_episode_rewards=True, seed=10)
        assert returns == ours.returns.tolist()
        assert lengths == ours.lengths.tolist()


def test_example_is_learnt():
    quadrotor()
    model = ARS("LinearPolicy", "QuadrotorHover-v0", n_delta=8, delta_std=0.3, learning_rate=0.1, seed=2)
    assert model.evaluate(20).returns.mean() < 50
    assert model.learn(2_000_000).evaluate(100).returns.mean() > 250


def test_plain_functions_see_python_numbers():
    seen = []

    def watch(where, *values):
        seen.extend((where, type(value)) for value in values)

    env = boat()
    functions = env.spec.entry_point().definition.functions

    def step(constants, state, action):
        watch("step", *constants, *state, *action)
        return functions.step(constants, state, action)

    made = env.spec.entry_point()
    object.__setattr__(
        made, "definition", type(made.definition)(**{**vars(made.definition), "functions": functions._replace(step=step)})
    )
    observation, _ = made.reset(seed=0)
    made.step(np.array([0.1, 0.2], np.float32))
    assert {kind for _, kind in seen} == {float, int}
    assert observation.dtype == np.float32


class Swapped(NamedTuple):
    b: float
    a: float


class Straight(NamedTuple):
    a: float
    b: float


def step_by_names(env, state, action):
    return state, env.a - 10.0 * env.b, False


def test_order_of_constants_is_compiled_too():
    Swapped.__name__ = "Straight"  # as if the class had been edited
    for kind in (Straight, Swapped):
        env = pole(constants=kind(a=1.0, b=2.0), step=step_by_names)
        assert compiled_step(env)[3] == -19.0
        assert type(env.constants).__name__.startswith("Straight_")


# --- What functions may call


@numba.njit
def compiled_draws(rng):
    a = uniform(rng, -2.0, 3.0), standard_normal(rng), integers(rng, -3, 5), uniform(rng, 0, 1), integers(rng, 0, 2**40)
    return a, sincos(1), clip(2, -1.0, 1.0), clip(-2.0, -1, 1), clip(math.nan, 0.0, 1.0), clip(0.25, 0, 1)


def test_scalar_functions_have_the_same_bits_in_both():
    from fastars._compiled.rng import seed_generator

    rng, seen = np.zeros(4, np.uint64), set()
    for seed in range(200):
        seed_generator(rng, np.uint64(seed))
        compiled, plain = compiled_draws(rng), compiled_draws.py_func(np.random.default_rng(seed))
        assert repr(compiled) == repr(plain)
        seen.add(plain[0][2])
    assert seen == set(range(-3, 5))
    angles = np.random.default_rng(0).uniform(-50, 50, 2000)
    each = numba.njit(lambda x: [sincos(v) for v in x])
    assert each(angles) == [sincos(v) for v in angles.tolist()]
    np.testing.assert_allclose([sincos(v) for v in angles], np.transpose([np.sin(angles), np.cos(angles)]), rtol=0, atol=2e-16)
    assert all(math.isnan(v) for v in sincos(math.inf))
    each = numba.njit(lambda x: [tanh(v) for v in x])
    values = np.concatenate([angles, angles * 0.01, [0.0, math.inf, -math.inf]])
    assert each(values) == [tanh(v) for v in values.tolist()]
    np.testing.assert_allclose([tanh(v) for v in values], np.tanh(values), rtol=1e-15)
    assert math.isnan(tanh(math.nan))


def test_it_is_a_vector_environment_with_the_bits_of_single_ones(env):
    ours, theirs = gymnasium.make_vec(env.id, 5), gymnasium.make_vec(env.id, 5, "sync")
    assert isinstance(ours, CompiledVectorEnv)
    np.testing.assert_array_equal(ours.reset(seed=3)[0], theirs.reset(seed=3)[0])
    ours.action_space.seed(0)
    n_ended = 0
    for _ in range(200):
        actions = ours.action_space.sample()
        compiled, plain = ours.step(actions), theirs.step(actions)
        for our, their in zip(compiled[:4], plain[:4], strict=True):
            np.testing.assert_array_equal(our, their)
        n_ended += int(np.count_nonzero(compiled[2] | compiled[3]))
    assert n_ended > 0


def test_draws_are_those_of_numpys_generator():
    ours, theirs = np.random.default_rng(5), np.random.default_rng(5)
    assert uniform(ours, -2.0, 3.0) == theirs.uniform(-2.0, 3.0)
    assert standard_normal(ours) == theirs.standard_normal()
    assert integers(ours, 3, 9) == 3 + int(theirs.random() * 6)
    state, _ = boat().spec.entry_point().reset(seed=7)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(7)))
    wind, x = int(rng.random() * 3), rng.standard_normal()
    assert state.tolist() == np.array([0.1 * x, rng.uniform(-1, 1), wind, 1], np.float32).tolist()


def helper_of_plain(x):
    return 3.0 * x


def reset_recursive(env, rng):
    return (descend(4),)


def descend(n):
    if n <= 0:
        return 1.0
    return 2.0 * descend(n - 1)


def test_helpers_may_be_plain_nested_or_recursive():
    factor = 0.5

    def inner(x):
        return factor * helper_of_plain(x)

    def observe(env, state):
        return (inner(state[0]),)

    def step(env, state, action):
        return (state[0] + 1.0,), state[0], False

    spaces = {"observation_space": Box(-1, 1, (1,)), "action_space": Discrete(1)}
    env = register_env("Nested-v0", Boat(), reset_recursive, observe, step, **spaces, max_episode_steps=3)
    assert compiled_step(env) == ((16.0,), (24.0,), (17.0,), 16.0, False)
    assert gymnasium.make("Nested-v0").reset()[0].tolist() == [24.0]


gain = 2.0


def step_by_gain(env, state, action):
    return state, gain, False


def test_globals_are_read_when_the_environment_is_registered(monkeypatch):
    env = pole(step=step_by_gain)
    monkeypatch.setitem(globals(), "gain", 5.0)
    assert compiled_step(env)[3] == 2.0
    assert compiled_step(pole(step=step_by_gain))[3] == 5.0


# --- As an environment


def test_environment_is_one_of_gymnasiums(env):
    made = gymnasium.make(env.id)
    assert made.spec.max_episode_steps == env.max_steps
    assert isinstance(made, gymnasium.wrappers.TimeLimit)
    assert made.observation_space == env.observation_space
    assert made.action_space == env.action_space
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice about ranges
        gymnasium_check_env(made.unwrapped, skip_render_check=True)
    assert boat().spec.reward_threshold == -5


def test_registered_ids_are_listed_and_found():
    env = boat()
    assert compiled_env_ids("user") == ["OwnBoat-v0"]
    assert set(compiled_env_ids()) == {
        "OwnBoat-v0",
        *(each for family in ("classic", "mujoco", "multi") for each in compiled_env_ids(family)),
    }
    assert compiled_env("OwnBoat-v0")._replace(spec=env.spec) == env
    assert compiled_env(env) is env
    with pytest.raises(UnsupportedEnvError, match=r"'OwnBot-v0' is not a known environment id; did you mean 'OwnBoat-v0'"):
        compiled_env("OwnBot-v0")


def test_make_arguments_are_constants_in_both():
    boat()
    env = gymnasium.make("OwnBoat-v0", drag=3, n_winds=np.int64(1), max_episode_steps=40)
    compiled = compiled_env(env)
    assert compiled.kwargs == {"drag": 3.0, "n_winds": 1}
    assert type(compiled.kwargs["drag"]) is float
    model = ARS("LinearPolicy", env, seed=0).learn(100)
    assert model.env_kwargs == {"drag": 3.0, "n_winds": 1, "max_episode_steps": 40}
    ours = model.evaluate(5, seed=10)
    assert evaluate_policy(model, env, 5, return_episode_rewards=True, seed=10)[0] == ours.returns.tolist()
    assert evaluate_policy(model, "OwnBoat-v0", 5, return_episode_rewards=True, seed=10)[0] != ours.returns.tolist()
    twin = ARS("LinearPolicy", env, seed=0, backend="numpy")
    assert twin.evaluate(2).lengths.max() <= 40


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"mass": 1.0}, "has no constant 'mass'; its constants are drag, n_winds"),
        ({"drag": "much"}, "drag must be of the type float, got 'much'"),
        ({"drag": True}, "drag must be of the type float, got True"),
        ({"n_winds": 1.5}, r"n_winds must be of the type int, got 1\.5"),
    ],
)
def test_make_argument_that_is_no_constant_is_refused(kwargs, message):
    boat()
    with pytest.raises(TypeError, match=message):
        gymnasium.make("OwnBoat-v0", **kwargs)


def test_changed_environment_is_refused():
    boat()
    env = gymnasium.make("OwnBoat-v0")
    env.reset(seed=0)
    assert compiled_env(env).id == "OwnBoat-v0"
    env.unwrapped.constants = Boat(drag=9.0)
    with pytest.raises(UnsupportedEnvError, match="'OwnBoat-v0' was changed: its attribute constants"):
        compiled_env(env)
    with pytest.raises(UnsupportedEnvError, match="wrapper ClipAction"):
        compiled_env(gymnasium.wrappers.ClipAction(gymnasium.make("OwnBoat-v0")))


def test_registering_again_replaces(recwarn):
    pole()
    before = gymnasium.make("OwnPole-v0")
    pole(step=step_by_gain, max_episode_steps=7)
    assert evaluate_candidates("OwnPole-v0", np.zeros((1, 8)), [0]).lengths.tolist() == [7]
    assert compiled_env(before).max_steps == 500
    assert len(recwarn) == 0


def test_functions_of_the_same_content_have_one_class():
    first, again, other = pole(), pole(constants=Pole(force=3.0)), pole(step=step_by_gain)
    assert type(first.constants) is type(again.constants)
    assert type(first.constants) is not type(other.constants)


def test_step_before_reset_and_wrong_actions_are_refused():
    env = gymnasium.make(boat().id).unwrapped
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"OwnBoat-v0: call reset\(\) before step\(\)"):
        env.step(np.zeros(2, np.float32))
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action must have shape \(2,\), got \(3,\)"):
        env.step(np.zeros(3))
    env = gymnasium.make(pole().id).unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action must be an integer from 0 to 1, got 2"):
        env.step(2)


def test_discrete_actions_start_where_the_space_does():
    def step(env, state, action):
        return state, action, False

    env = pole(step=step, action_space=Discrete(3, start=-1), max_episode_steps=5)
    weights = np.zeros((3, 12))
    weights[1, 4], weights[2, 8] = 1e9, 1e9
    weights[:, 1::4] = 0.0
    ours = evaluate_candidates(env.id, weights, [3, 3, 3])
    assert ours.returns.tolist() == [replay(env, row, 3)[0] for row in weights]
    assert -5.0 in ours.returns


# --- Files


def test_saved_model_is_loaded_where_its_id_is_registered(tmp_path):
    path = tmp_path / "boat.zip"
    boat()
    model = ARS("LinearPolicy", gymnasium.make("OwnBoat-v0", drag=0.5), n_delta=4, seed=6).learn(1000)
    model.save(path)
    for loaded in (ARS.load(path), ARS.load(path, env=gymnasium.make("OwnBoat-v0", drag=0.5))):
        assert loaded.env_kwargs == model.env_kwargs
        assert loaded.evaluate(3).returns.tolist() == model.evaluate(3).returns.tolist()
    del USER_ENVS["OwnBoat-v0"]
    with pytest.raises(
        CheckpointError, match=rf"{path}: its environment 'OwnBoat-v0' can't be made: .*ARS\.load\(path, env=\.\.\.\)"
    ):
        ARS.load(path).evaluate(1)


# --- What is refused at registration


def gives(value):
    return lambda env, *more: value


calls = []


def impure(env, state, action):
    calls.append(1)
    return state, float(len(calls)), False


def draws_from_numpy(env, rng):
    return np.random.random(), 0.0, 0.0, 0.0


def draws_by_method(env, rng):
    return rng.uniform(0.0, 1.0), 0.0, 0.0, 0.0


def returns_number_sometimes(env, state, action):
    if state[0] > 100.0:
        return state, 1.0, 0
    return state, 1.0, False


def divides(env, state):
    return 1.0 / 0.0, 0.0, 0.0, 0.0


def evaluates(env, state):
    return eval("state")


class Bad(NamedTuple):
    x: object


ERRORS = {
    "id of Gymnasium": (
        {"id": "Blackjack-v1"},
        ValueError,
        "id must be one that no registered environment has, got 'Blackjack-v1'",
    ),
    "built-in id": ({"id": "CartPole-v1"}, ValueError, "id must be one that no"),
    "id that is none": ({"id": "no id"}, ValueError, r"register_env\(\): id must be an id such as 'MyTask-v0', got 'no id'"),
    "constants": ({"constants": {"g": 1}}, TypeError, r"constants must be an instance of a NamedTuple, got \{'g': 1\}"),
    "class": ({"constants": Pole}, TypeError, "constants must be an instance of a NamedTuple"),
    "constant": ({"constants": Bad("x")}, TypeError, r"constants\.x must be a number or a bool, got 'x'"),
    "large": ({"constants": Bad(2**63)}, ValueError, r"constants\.x must be an integer of 64 bits"),
    "no function": ({"observe": 3}, TypeError, r"observe must be a plain function observe\(env, state\), got 3"),
    "parameters": (
        {"step": observe_all},
        TypeError,
        r"step must take the parameters of step\(env, state, action\), got step\(env, state\)",
    ),
    "observations": (
        {"observation_space": Discrete(3)},
        TypeError,
        "observation_space must be a Box of float32 with one dimension, got",
    ),
    "float64": ({"observation_space": Box(-1, 1, (4,), np.float64)}, TypeError, "observation_space must be a Box of float32"),
    "matrix": ({"observation_space": Box(-1, 1, (2, 2))}, TypeError, "observation_space must be a Box of float32"),
    "actions": ({"action_space": MultiBinary(2)}, TypeError, "action_space must be .* or a Discrete, got MultiBinary"),
    "limit": ({"max_episode_steps": 0}, ValueError, "max_episode_steps must be an integer of at least 1, got 0"),
    "state": ({"reset": gives([0.0])}, TypeError, r"reset must give a state that is a tuple of numbers, got list: \[0.0\]"),
    "empty state": ({"reset": gives(())}, ValueError, "reset must give a state of at least one number, got 0"),
    "nan state": ({"reset": gives((0.0, math.nan))}, ValueError, "reset must give a state of finite numbers, entry 1 is nan"),
    "random state": ({"reset": draws_from_numpy}, ValueError, "reset must depend on env and rng alone"),
    "wrong size": (
        {"observe": gives((1.0, 2.0))},
        ValueError,
        "observe must give an observation of the 4 numbers of observation_space, got 2",
    ),
    "no number": ({"observe": gives((1.0, "2", 3, 4))}, TypeError, "observe must give an observation that is a tuple of numbers"),
    "step": ({"step": gives((1.0, 2.0))}, TypeError, r"step must give \(state, reward, terminated\), got tuple: \(1.0, 2.0\)"),
    "step's state": (
        {"step": gives(((1.0,), 2.0, False))},
        ValueError,
        "step must give its first entry, the state, of 4 numbers as reset does, got 1",
    ),
    "reward": (
        {"step": gives(((0.0,) * 4, None, False))},
        TypeError,
        "a number as the reward, or a tuple of numbers, got NoneType",
    ),
    "terminated": ({"step": gives(((0.0,) * 4, 0.0, 1))}, TypeError, "step must give a bool as terminated, got int: 1"),
    "sometimes": ({"step": returns_number_sometimes}, TypeError, "step must give a bool as terminated wherever it returns"),
    "impure": ({"step": impure}, ValueError, "step must depend on its arguments alone"),
    "raises": ({"observe": divides}, ValueError, "observe failed when it was tried: ZeroDivisionError"),
    "method": (
        {"reset": draws_by_method},
        UnsupportedEnvError,
        r"(?s)reset must be what Numba can compile.*functions of fastars\.scalar",
    ),
    "no code": ({"observe": evaluates}, UnsupportedEnvError, r"(?s)observe must be what Numba can compile\. Numba says: "),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_is_wrong_is_told_at_registration(case):
    changes, kind, message = ERRORS[case]
    with pytest.raises(kind, match=message):
        pole(**changes)
    assert not USER_ENVS
    assert "OwnPole-v0" not in gymnasium.registry


def test_refused_registration_leaves_the_one_before():
    env = pole()
    with pytest.raises(TypeError, match="step"):
        pole(step=3)
    assert USER_ENVS["OwnPole-v0"] is env
    assert gymnasium.make("OwnPole-v0").spec.max_episode_steps == 500


# --- Content

BASE = """
import collections
import numba
import numpy as np
from fastars.scalar import clip
LIMITS = collections.namedtuple("Limits", "low high")(0.0, 1.0)
TABLE, PAIR, FACTOR, UNUSED = np.arange(3.0), (1, 2.0), 2.0, 7
@numba.njit
def low(x):
    return x - 1.0
def high(x, shift=3.0):
    def nested(y):
        return y * 5.0
    return nested(low(x)) + shift + PAIR[1] * TABLE[1]
def made(scale):
    def function(x):
        return scale * high(x) + FACTOR * np.sqrt(clip(x, LIMITS.low, LIMITS.high))
    return function
function = made(4.0)
"""
EDITS = {
    "helper": ("x - 1.0", "x - 1.5"),
    "nested function": ("y * 5.0", "y * 5.5"),
    "default": ("shift=3.0", "shift=3.5"),
    "global": ("FACTOR, UNUSED = np.arange(3.0), (1, 2.0), 2.0", "FACTOR, UNUSED = np.arange(3.0), (1, 2.0), 2.5"),
    "type of a global": ("(1, 2.0), 2.0,", "(1, 2.0), 2,"),
    "tuple": ("(1, 2.0)", "(1, 2.5)"),
    "NamedTuple": ("(0.0, 1.0)", "(0.0, 1.5)"),
    "names of a NamedTuple": ('"low high")(0.0, 1.0)', '"high low")(1.0, 0.0)'),
    "array": ("np.arange(3.0)", "np.arange(1.0, 4.0)"),
    "dtype of an array": ("np.arange(3.0)", "np.arange(3)"),
    "variable of a closure": ("made(4.0)", "made(4.5)"),
    "operator": ("scale * high(x) +", "scale * high(x) -"),
    "other function": ("np.sqrt", "np.cbrt"),
    "other origin": ("from fastars.scalar import clip", "def clip(x, a, b): return min(max(x, a), b)"),
}


def capture(source, name="module"):
    scope = {"__name__": name}
    exec(compile(source, f"{name}.py", "exec"), scope)
    return ClosureDigest({"function": scope["function"]})


def test_digest_is_that_of_the_content():
    digest = capture(BASE).digest
    assert capture(BASE).digest == digest
    assert capture("# a comment\n\n" + BASE.replace("UNUSED = ", "UNUSED = ").replace("2.0, 7", "2.0, 8")).digest == digest
    assert capture(BASE).obstacle == ""


@pytest.mark.parametrize("edit", EDITS)
def test_digest_shows_every_edit(edit):
    assert EDITS[edit][0] in BASE
    assert capture(BASE.replace(*EDITS[edit])).digest != capture(BASE).digest


def test_captured_function_does_what_the_original_does():
    scope = {"__name__": "module"}
    exec(BASE, scope)
    compiled = ClosureDigest({"function": scope["function"]}).compiled["function"]
    scope["TABLE"][:] = 9.0
    scope["PAIR"] = (1, 9.0)
    assert numba.njit(lambda x: compiled(x))(0.3) == 4.0 * ((0.3 - 1.0) * 5.0 + 3.0 + 2.0) + 2.0 * math.sqrt(0.3)


FOREIGN = """
from numba.extending import overload
def h(x):
    return x
@overload(h)
def _h(x):
    return lambda x: x
def function(x):
    return h(x)
"""


@pytest.mark.parametrize(
    ("source", "obstacle"),
    [
        ("TABLE = [1.0]\ndef function(x): return TABLE[0]", "the global TABLE is a list"),
        ("def made(y):\n    return lambda x: y\nfunction = made({})", "the variable y is a dict"),
        ("def function(x, y=set()): return x", "a default argument is a set"),
        (FOREIGN, "the global h is a function"),
    ],
)
def test_what_has_no_known_content_is_an_obstacle(source, obstacle):
    assert capture(source).obstacle == f"{obstacle}, whose changes a cache could not see"


def test_function_that_calls_itself_is_not_cached():
    """Numba 0.68 caches it, and the process that finds it crashes."""
    source = "def f(n): return g(n) if n > 0 else 1.0\ndef g(n): return 2.0 * f(n - 1)\ndef function(x): return f(4) + g(x)"
    assert capture(source).obstacle == "f calls itself, which can't be cached"


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A package of two modules on the path, which a test may edit; `import_anew()` imports it."""
    (tmp_path / "edited_one.py").write_text(
        "import edited_two\nfrom edited_two import g\ndef function(x): return edited_two.f(x) + g(x)"
    )
    (tmp_path / "edited_two.py").write_text("SCALE = 2.0\ndef f(x): return SCALE * x\ndef g(x): return x\ndef unused(x): return x")
    monkeypatch.syspath_prepend(tmp_path)

    def import_anew():
        for name in ("edited_one", "edited_two"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return ClosureDigest({"function": importlib.import_module("edited_one").function})

    yield tmp_path / "edited_two.py", import_anew
    for name in ("edited_one", "edited_two"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("edit", "shows"),
    [
        (("SCALE * x", "SCALE + x"), True),
        (("SCALE = 2.0", "SCALE = 2.5"), True),
        (("g(x): return x", "g(x): return -x"), True),
        (("unused(x): return x", "unused(x): return 1"), False),
    ],
)
def test_digest_follows_modules(modules, edit, shows):
    path, import_anew = modules
    before = import_anew()
    compiled = before.compiled["function"]
    assert numba.njit(lambda x: compiled(x))(3.0) == 9.0  # its helpers are plain functions of another module
    assert edit[0] in path.read_text()
    path.write_text(path.read_text().replace(*edit) + "# longer, in case the clock is coarse")
    assert (import_anew().digest != before.digest) == shows


# --- The cache

TASK = """
from typing import NamedTuple
import gymnasium
import helpers
from fastars import register_env
class Drift(NamedTuple):
    speed: float = 1.0
SCALE = 1.0
def reset(env, rng):
    return (0.0,)
def observe(env, state):
    return state
def step(env, state, action):
    return (state[0] + env.speed,), SCALE * helpers.reward(state), False
def register():
    box = gymnasium.spaces.Box(-1, 1, (1,))
    return register_env("Drift-v0", Drift(), reset, observe, step, observation_space=box, action_space=box, max_episode_steps=5)
"""
OVERLOADED = """
from numba.extending import overload
def reward(state):
    return 2.0
@overload(reward)
def _reward(state):
    return lambda state: 2.0
"""
HELPERS = "def reward(state):\n    return 2.0\n"
MAIN = """
import sys
import numpy as np
from drift import register
env = register()
from fastars.kernels.inspection import first_step
reward = first_step(env.constants, np.ones(4, np.uint64), (np.float32(0),))[3]
print(reward, sum(first_step.stats.cache_hits.values()), "found")
"""
ROLLOUT = """
import fastars
from fastars.kernels.rollout import roll_out
result = fastars.evaluate_candidates("Drift-v0", [[0.0]], [0]).returns[0]
print(result, sum(roll_out.stats.cache_hits.values()), sum(roll_out.stats.cache_misses.values()))
"""


def process(folder, main=MAIN, check=True):
    environment = {**os.environ, "FASTARS_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": f"{ROOT}:{folder}"}
    (folder / "main.py").write_text(textwrap.dedent(main))
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "drift.py").write_text(TASK)
    (tmp_path / "helpers.py").write_text(HELPERS)
    return tmp_path


def test_second_process_compiles_nothing(folder):
    assert process(folder, MAIN + ROLLOUT)[0] == "2.0 0 found\n10.0 0 1"
    (folder / "drift.py").write_text("# a comment\n" + TASK)
    assert process(folder, MAIN + ROLLOUT) == ("2.0 1 found\n10.0 1 0", "")


def test_a_module_may_register_while_it_is_imported(folder):
    """A compilation on another thread would wait for the end of the import, and the import for the compilation."""
    (folder / "drift.py").write_text(TASK + "env = register()\n")
    assert (
        process(folder, MAIN.replace("from drift import register\nenv = register()", "from drift import env"))[0] == "2.0 0 found"
    )


def test_edited_helper_of_another_module_is_compiled_again(folder):
    assert process(folder)[0] == "2.0 0 found"
    (folder / "helpers.py").write_text(HELPERS.replace("2.0", "3.0  # more"))
    assert process(folder)[0] == "3.0 0 found"


def test_changed_global_is_compiled_again_and_both_are_kept(folder):
    for scale, result in (("1.0", "2.0 0 found"), ("10.0", "20.0 0 found"), ("1.0", "2.0 1 found")):
        (folder / "drift.py").write_text(TASK.replace("SCALE = 1.0", f"SCALE = {scale}"))
        assert process(folder)[0] == result


def test_environment_of_a_script_is_found_again(folder):
    script = TASK + MAIN.replace("from drift import register", "") + ROLLOUT
    assert process(folder, script)[0] == "2.0 0 found\n10.0 0 1"
    assert process(folder, script)[0] == "2.0 1 found\n10.0 1 0"


def test_content_that_can_not_be_known_is_said_once_and_not_cached(folder):
    (folder / "helpers.py").write_text(OVERLOADED)
    for _ in range(2):
        out, log = process(folder, MAIN.replace("env = register()", "register()\nenv = register()"))
        assert out == "2.0 0 found"
        assert log.startswith("Drift-v0: its kernels are compiled anew in every process, since helpers.reward is a function, whose")
        assert log.count("\n") == 1
    assert not [path for path in (folder / "cache").glob("*.kernel") if "first_step" in path.name]


def test_log_is_quiet_for_what_is_cached(caplog):
    with caplog.at_level(logging.DEBUG, logger="fastars"):
        pole()
    assert caplog.text == ""


def test_import_of_the_package_does_not_import_numba():
    code = (
        "import sys, fastars; print([m for m in ('numba', 'gymnasium') if m in sys.modules]); fastars.scalar; fastars.register_env"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
    assert {"register_env", "check_env", "scalar"} <= set(fastars.__all__)
