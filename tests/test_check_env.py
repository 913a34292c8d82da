"""`check_env`: equal environments pass, the first difference is told in words, and a function that did not vectorise is named."""

import math
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numba
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

import fastars
from fastars import EnvMismatchError, UnsupportedEnvError, check_env, compiled_env_ids, register_env
from fastars.envs import USER_ENVS
from fastars.scalar import sincos, uniform

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="holds compiled functions against uncompiled ones")
ROOT = Path(__file__).parent.parent


class Slide(NamedTuple):
    pull: float = 0.1


def reset(env, rng):
    return uniform(rng, -0.5, 0.5), 0.0


def observe(env, state):
    return state


def step(env, state, action):
    x, v = state
    v = v + env.pull * action[0] - 0.01 * x
    return (x + v, v), -x * x, abs(x) > 2.0


def slide(**changes):
    settings = {
        "id": "Slide-v0",
        "constants": Slide(),
        "reset": reset,
        "observe": observe,
        "step": step,
        "observation_space": Box(-np.inf, np.inf, (2,)),
        "action_space": Box(-1, 1, (1,)),
        "max_episode_steps": 40,
    }
    return register_env(**{**settings, **changes})


@pytest.fixture(autouse=True)
def _forget():
    yield
    for env_id in list(USER_ENVS):
        del USER_ENVS[env_id]
        gymnasium.registry.pop(env_id, None)


class Edited(gymnasium.Wrapper):
    """The environment with one thing changed, in step 12 of the episode with seed 3, or at its start."""

    def __init__(self, env, what, change):
        super().__init__(env)
        self.what, self.change = what, change

    def reset(self, *, seed=None, options=None):
        self.seed, self.time = seed, 0
        observation, info = self.env.reset(seed=seed)
        return (self.change(observation) if self.what == "start" and seed == 3 else observation), info

    def step(self, action):
        self.time += 1
        values = dict(zip(["observation", "reward", "terminated", "truncated"], self.env.step(action)[:4], strict=True))
        if (self.seed, self.time) == (3, 12) and self.what in values:
            values[self.what] = self.change(values[self.what])
        return (*values.values(), {})


def moved(k, by):
    def change(observation):
        observation = observation.copy()
        observation[k] += by
        return observation

    return change


# --- Parity


@pytest.mark.parametrize("env_id", compiled_env_ids("classic"))
@pytest.mark.filterwarnings("ignore:.*CartPole-v0 is out of date")
def test_built_in_environments_pass(env_id):
    report = check_env(env_id, n_episodes=3, n_steps=100)
    assert report.vectorised
    assert report.episodes == 3
    assert report.largest_difference < 1e-6


def test_same_bits_are_reported():
    slide()
    report = check_env("Slide-v0", rtol=0, atol=0)
    assert (report.largest_difference, report.episodes, report.calls) == (0.0, 20, {})
    assert 0 < report.terminations < 20  # both ends are compared
    assert report.steps > 20 * 10
    words = f"20 episodes, {report.terminations} of them terminated, {report.steps} steps"
    assert (
        repr(report) == f"Slide-v0 compared with its plain Python form: the same bits ({words})\nobserve and step vectorised: yes"
    )


def test_environment_is_given_in_any_form():
    env = slide(max_episode_steps=30)
    texts = {repr(check_env(form, n_episodes=3)) for form in ("Slide-v0", env, gymnasium.make("Slide-v0"))}
    assert len(texts) == 1
    assert check_env(gymnasium.make("Slide-v0", pull=0.05, max_episode_steps=7), n_episodes=3).steps == 3 * 7


def test_reference_is_an_environment_or_an_id():
    slide()
    assert check_env("Slide-v0", "Slide-v0", n_episodes=2).reference == "Slide-v0"
    made = gymnasium.make("Slide-v0")
    assert check_env("Slide-v0", made, n_episodes=2).reference == "Slide-v0"
    assert check_env("CartPole-v1", "CartPole-v0", n_episodes=2, n_steps=50).reference == "CartPole-v0"
    with pytest.raises(TypeError, match=r"reference must be an environment id or a gymnasium\.Env, not int: 3"):
        check_env("Slide-v0", 3)


def test_actions_cover_the_space_and_its_corners():
    seen = []

    class Watched(gymnasium.Wrapper):
        def step(self, action):
            seen.append(action)
            return super().step(action)

    space = Box(np.array([-1, 0, -np.inf], np.float32), np.array([3, 0, np.inf], np.float32))
    slide(action_space=space)
    check_env("Slide-v0", Watched(gymnasium.make("Slide-v0")))
    actions = np.array(seen)
    assert actions.dtype == np.float32
    assert set(actions[:, 1]) == {0.0}
    assert (actions[:, 0] == -1).any()
    assert (actions[:, 0] == 3).any()
    assert actions[:, 0].min() == -1
    assert len(np.unique(actions[:, 2])) == len(actions)
    slide(action_space=Discrete(3, start=-1), step=lambda env, state, action: (state, action, False))
    check_env("Slide-v0", n_episodes=2)


MISMATCHES = {
    "start": (
        moved(1, 0.5),
        r"episode with seed 3, start: observation\[1\] is 0\.0 compiled and 0\.5 in the reference; "
        r"they differ by 0\.5 \(8\.39e\+06 float32 ulp\)",
    ),
    "observation": (
        moved(1, 1.0),
        r"episode with seed 3, step 12: observation\[1\] is \S+ compiled and \S+ in the reference; "
        r"they differ by 1 \(\S+ float32 ulp\)",
    ),
    "reward": (
        lambda reward: reward + 0.25,
        r"episode with seed 3, step 12: reward is \S+ compiled and \S+ in the reference; they differ by 0\.25 \(\S+ float64 ulp\)",
    ),
    "terminated": (lambda flag: not flag, "episode with seed 3, step 12: terminated is False compiled and True in the reference"),
    "truncated": (lambda flag: not flag, "episode with seed 3, step 12: truncated is False compiled and True in the reference"),
}


@pytest.mark.parametrize("what", MISMATCHES)
def test_first_difference_is_told_in_words(what):
    change, message = MISMATCHES[what]
    slide()
    with pytest.raises(EnvMismatchError, match=f"^{message}$"):
        check_env("Slide-v0", Edited(gymnasium.make("Slide-v0"), what, change), n_steps=15)
    with pytest.raises(ValueError, match=r"step 12|start"):
        check_env("Slide-v0", Edited(gymnasium.make("Slide-v0"), what, change), n_episodes=1, seed=3)
    assert check_env("Slide-v0", Edited(gymnasium.make("Slide-v0"), what, change), n_episodes=3).episodes == 3


def test_tolerance_decides():
    slide()
    near = Edited(gymnasium.make("Slide-v0"), "observation", moved(0, 1e-4))
    report = check_env("Slide-v0", near, n_steps=15, atol=1e-3)
    assert report.largest_difference == pytest.approx(1e-4, rel=1e-2)
    assert "largest difference 0.0001 (" in str(report)
    with pytest.raises(EnvMismatchError, match=r"differ by 0\.0001 "):
        check_env("Slide-v0", near, n_steps=15, rtol=0)


def test_nan_and_infinity_are_compared():
    def infinite(env, state, action):
        after, _, _ = step(env, state, action)
        return after, (math.inf if state[1] != 0.0 else 0.0), False

    slide(step=infinite)
    assert check_env("Slide-v0", rtol=0, atol=0, n_steps=3, n_episodes=2).steps == 6
    for value in (math.nan, 1.0, -math.inf):
        with pytest.raises(EnvMismatchError, match=f"reward is inf compiled and {value} in the reference$"):
            check_env("Slide-v0", Edited(gymnasium.make("Slide-v0"), "reward", lambda _, value=value: value), seed=3)
    nan = Edited(gymnasium.make("Slide-v0"), "observation", moved(1, math.nan))
    with pytest.raises(EnvMismatchError, match=r"observation\[1\] is \S+ compiled and nan in the reference$"):
        check_env("Slide-v0", nan, seed=3)


def test_float64_reference_is_rounded_as_observations_are():
    class Double(gymnasium.ObservationWrapper):
        def observation(self, observation):
            return np.float64(observation) * (1 + 1e-10)

    slide()
    assert check_env("Slide-v0", Double(gymnasium.make("Slide-v0")), rtol=0, atol=0, n_episodes=3).largest_difference == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observation_space": Box(-1, 1, (3,)), "observe": lambda env, state: (0, 0, 0)},
         r"observation_space has shape \(3,\) compiled and \(2,\)"),
        ({"action_space": Box(-2, 2, (1,))}, r"action_space is Box\(-2.0, 2.0, \(1,\), float32\) compiled and Box\(-1.0, 1.0"),
        ({"max_episode_steps": 8}, "episode with seed 0, step 8: truncated is True compiled and False in the reference"),
    ],
)  # fmt: skip
def test_other_spaces_and_time_limits_are_told(changes, message):
    slide()
    reference = gymnasium.make("Slide-v0")
    slide(**changes)
    with pytest.raises(EnvMismatchError, match=message):
        check_env("Slide-v0", reference)


def test_simulated_environment_is_refused():
    pytest.importorskip("mujoco")
    with pytest.raises(UnsupportedEnvError, match="'InvertedPendulum-v5' runs in a simulator"):
        check_env("InvertedPendulum-v5")


@pytest.mark.parametrize("name", ["n_episodes", "n_steps"])
def test_counts_are_checked(name):
    with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got 0"):
        check_env("CartPole-v1", **{name: 0})


# --- Lanes


@pytest.mark.parametrize("switch", ["NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK"])
def test_switches_of_numba_are_not_blamed_on_the_functions(switch):
    code = "import fastars; print(fastars.check_env('CartPole-v1', n_episodes=2, rtol=0, atol=0))"
    environment = {**os.environ, switch: "1"}
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "the same bits" in done.stdout
    assert done.stdout.endswith("vectorised: no, as Numba's switches say\n")


def observe_tangent(env, state):
    return math.tan(state[0]), state[1]


def step_modulo(env, state, action):
    x, v = state
    return (x % 1.5, v + 0.1 * action[0]), math.exp(-x * x), False


def observe_loop(env, state):
    x, n = state[0], 0
    while x > 0.01:
        x, n = 0.5 * x, n + 1
    return x, n


def observe_selects(env, state):
    x, v = state
    if x > 0.1 and v < 0.0:
        x = min(x, 0.7)
    elif x < -0.1:
        x = math.sqrt(abs(x))
    return max(x, -0.5), math.floor(v) + sincos(v)[0]


@pytest.mark.parametrize(
    ("changes", "calls", "words"),
    [
        ({"observe": observe_tangent}, {"observe": ("tan",)}, "observe did not vectorise: it calls tan, for one lane at a time"),
        (
            {"step": step_modulo},
            {"step": ("exp", "fmod (the operator %)")},
            r"step did not vectorise: it calls exp, fmod \(the operator %\), for one lane at a time",
        ),
        ({"observe": observe_loop}, {"observe": ()}, "observe did not vectorise: it has a branch, a loop or an index"),
    ],
)
def test_function_that_did_not_vectorise_is_named(changes, calls, words):
    slide(**changes)
    with pytest.warns(UserWarning, match=f"Slide-v0: {words}") as caught:
        report = check_env("Slide-v0", n_episodes=3)
    assert len(caught) == 1
    assert report.calls == calls
    assert not report.vectorised
    assert "did not vectorise" in repr(report)


def test_selects_and_square_roots_vectorise():
    slide(observe=observe_selects)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_env("Slide-v0", rtol=0, atol=0).vectorised


def test_names_are_public():
    assert fastars.check_env is check_env
    assert issubclass(EnvMismatchError, ValueError)
